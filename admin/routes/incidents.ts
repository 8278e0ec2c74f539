import { Type } from '@sinclair/typebox'
import { roleAtLeast } from '../access.ts'
import { changed, found, Problem } from '../problem.ts'
import { type AdminApp, actorOf, answers, type RouteContext } from '../route.ts'
import { IdParams, IncidentSchema, Name, PagingQuery, pageOf, ReasonText, strict, words } from '../schemas.ts'

const Query = strict({
  ...PagingQuery,
  state: Type.Optional(words(['open', 'resolved'])),
  entity: Type.Optional(Name),
})

const CloseBody = strict({
  verdict: words(
    ['accept', 'dismiss'],
    '`accept` teaches what was seen as normal (role tuner), `dismiss` drops it; both lift the decisions',
  ),
  reason: ReasonText,
})

/** What was noticed, why, what was done about it, and closing it. */
export function incidentRoutes(app: AdminApp, { controlPlane }: RouteContext): void {
  app.get(
    '/v1/incidents',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'Incidents, filtered and in pages',
        tags: ['incidents'],
        querystring: Query,
        response: answers(pageOf(IncidentSchema)),
      },
    },
    async (request) => controlPlane.incidents(request.query),
  )
  app.get(
    '/v1/incidents/:id',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'One incident with every transition, the reasons and its decisions',
        tags: ['incidents'],
        params: IdParams,
        response: answers(IncidentSchema),
      },
    },
    async ({ params }) => found(await controlPlane.incident(params.id), 'incident'),
  )
  app.post(
    '/v1/incidents/:id/close',
    {
      config: { role: 'responder' },
      schema: {
        summary: 'Close an incident and lift its decisions',
        tags: ['incidents'],
        params: IdParams,
        body: CloseBody,
        response: answers(IncidentSchema),
      },
    },
    async (request) => {
      const { verdict, reason } = request.body
      const actor = actorOf(request)
      if (verdict === 'accept' && !roleAtLeast(actor.role, 'tuner')) {
        throw new Problem('forbidden', 'accepting teaches the engine and needs the role tuner', 'verdict')
      }
      return changed(await controlPlane.closeIncident(request.params.id, verdict, actor, reason))
    },
  )
}
