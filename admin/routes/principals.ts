import { Type } from '@sinclair/typebox'
import { changed, found } from '../problem.ts'
import { type AdminApp, actorOf, answers, type RouteContext } from '../route.ts'
import {
  ForgettingSchema,
  Name,
  PagingQuery,
  PrincipalSchema,
  pageOf,
  ReasonText,
  strict,
  words,
} from '../schemas.ts'

const Query = strict({
  ...PagingQuery,
  search: Type.Optional(Name),
  state: Type.Optional(words(['LEARNING', 'PROVISIONAL', 'MATURE', 'STALE'])),
})

/** Who calls, how much is known about each, and what is normal for each. */
export function principalRoutes(app: AdminApp, { controlPlane }: RouteContext): void {
  app.get(
    '/v1/principals',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'Principals, filtered and in pages',
        tags: ['principals'],
        querystring: Query,
        response: answers(pageOf(PrincipalSchema)),
      },
    },
    async (request) => controlPlane.principals(request.query),
  )
  app.get(
    '/v1/principals/:tenant/:entity',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'One principal with its normal ranges and hours of the week',
        tags: ['principals'],
        params: strict({ tenant: Name, entity: Name }),
        response: answers(PrincipalSchema),
      },
    },
    async ({ params }) => found(await controlPlane.principal(params.tenant, params.entity), 'principal'),
  )
  app.post(
    '/v1/principals/:tenant/:entity/forget',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Forget a principal: its profile, its incidents and whatever else names it',
        tags: ['principals'],
        params: strict({ tenant: Name, entity: Name }),
        body: strict({ reason: ReasonText }),
        response: answers(ForgettingSchema),
      },
    },
    async (request) => {
      const { tenant, entity } = request.params
      const { reason } = request.body
      return changed(await controlPlane.forgetPrincipal(tenant, entity, actorOf(request), reason))
    },
  )
}
