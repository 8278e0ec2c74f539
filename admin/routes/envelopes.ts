import { Type } from '@sinclair/typebox'
import { type AdminApp, answers, type RouteContext } from '../route.ts'
import { EnvelopesSchema, strict } from '../schemas.ts'

const Query = strict({ limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }) })

/** What each caller may do at most, ahead of any incident. */
export function envelopeRoutes(app: AdminApp, { controlPlane }: RouteContext): void {
  app.get(
    '/v1/envelopes',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'Standing limits of callers, their reasons and where they are held; exceeded ones first',
        tags: ['envelopes'],
        querystring: Query,
        response: answers(EnvelopesSchema),
      },
    },
    async (request) => controlPlane.envelopes(request.query.limit),
  )
}
