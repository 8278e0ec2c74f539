import { Type } from '@sinclair/typebox'
import { changed, found } from '../problem.ts'
import { type AdminApp, actorOf, answers, type RouteContext } from '../route.ts'
import {
  DECISION_STATUSES,
  DecisionSchema,
  IdParams,
  PagingQuery,
  pageOf,
  ReasonText,
  strict,
  words,
} from '../schemas.ts'

/** The end of a hold can be moved to at most this far from now. */
const MAX_HOLD_SECONDS = 604_800

const Query = strict({ ...PagingQuery, status: Type.Optional(words(DECISION_STATUSES)) })
const ReasonBody = strict({ reason: ReasonText })
const ExtendBody = strict({
  holdSeconds: Type.Integer({
    minimum: 60,
    maximum: MAX_HOLD_SECONDS,
    description: 'seconds from now until the hold ends; at most 7 days',
  }),
  reason: ReasonText,
})

/** What holds at the gateways, and changing it. */
export function decisionRoutes(app: AdminApp, context: RouteContext): void {
  const { controlPlane } = context
  app.get(
    '/v1/decisions',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'Decisions, filtered and in pages',
        tags: ['decisions'],
        querystring: Query,
        response: answers(pageOf(DecisionSchema)),
      },
    },
    async (request) => controlPlane.decisions(request.query),
  )
  app.get(
    '/v1/decisions/:id',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'One decision with its receipts',
        tags: ['decisions'],
        params: IdParams,
        response: answers(DecisionSchema),
      },
    },
    async ({ params }) => found(await controlPlane.decision(params.id), 'decision'),
  )
  decisionChanges(app, context)
}

function decisionChanges(app: AdminApp, { controlPlane }: RouteContext): void {
  const change = (summary: string) =>
    ({
      config: { role: 'responder' },
      schema: {
        summary,
        tags: ['decisions'],
        params: IdParams,
        body: ReasonBody,
        response: answers(DecisionSchema),
      },
    }) as const
  app.post('/v1/decisions/:id/release', change('Lift a decision at every gateway'), async (request) =>
    changed(await controlPlane.releaseDecision(request.params.id, actorOf(request), request.body.reason)),
  )
  app.post('/v1/decisions/:id/approve', change('Let a waiting decision be enforced'), async (request) =>
    changed(await controlPlane.approveDecision(request.params.id, actorOf(request), request.body.reason)),
  )
  app.post(
    '/v1/decisions/:id/extend',
    {
      config: { role: 'responder' },
      schema: {
        summary: 'Move the end of a hold',
        tags: ['decisions'],
        params: IdParams,
        body: ExtendBody,
        response: answers(DecisionSchema),
      },
    },
    async (request) => {
      const { holdSeconds, reason } = request.body
      return changed(
        await controlPlane.extendDecision(request.params.id, holdSeconds, actorOf(request), reason),
      )
    },
  )
}
