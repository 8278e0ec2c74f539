import { Type } from '@sinclair/typebox'
import { ROLES } from '../access.ts'
import { type AdminApp, actorOf, answers, type RouteContext } from '../route.ts'
import { words } from '../schemas.ts'

const Live = Type.Object({ status: Type.Literal('alive') })
const Ready = Type.Object({
  ready: Type.Boolean(),
  checks: Type.Array(Type.Object({ name: Type.String(), ok: Type.Boolean() })),
})
const Status = Type.Object({
  ready: Type.Boolean(),
  checks: Type.Array(Type.Object({ name: Type.String(), ok: Type.Boolean(), detail: Type.String() })),
  channels: Type.Array(
    Type.Object({
      name: Type.String(),
      waiting: Type.Integer({ description: 'messages that wait to be sent' }),
      sent: Type.Integer({ description: 'messages taken by the channel since the process started' }),
      lastError: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
})
const Me = Type.Object({ name: Type.String(), role: words(ROLES) })

/** Liveness and readiness for an orchestrator, and the details behind them for people. */
export function healthRoutes(app: AdminApp, { controlPlane }: RouteContext): void {
  app.get(
    '/healthz',
    {
      config: { role: 'public' },
      schema: { summary: 'Whether the process answers', tags: ['health'], response: { 200: Live } },
    },
    async () => ({ status: 'alive' as const }),
  )
  app.get(
    '/readyz',
    {
      config: { role: 'public' },
      schema: {
        summary: 'Whether the engine can do its work; 503 while it cannot',
        tags: ['health'],
        response: { 200: Ready, 503: Ready },
      },
    },
    async (_request, reply) => {
      const checks = (await controlPlane.readiness()).map(({ name, ok }) => ({ name, ok }))
      const ready = checks.every((check) => check.ok)
      return reply.code(ready ? 200 : 503).send({ ready, checks })
    },
  )
  app.get(
    '/v1/status',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'Readiness checks with their details, and how the delivery of alerts goes',
        tags: ['health'],
        response: answers(Status),
      },
    },
    async () => {
      const [checks, channels] = await Promise.all([controlPlane.readiness(), controlPlane.channels()])
      return { ready: checks.every((check) => check.ok), checks: [...checks], channels: [...channels] }
    },
  )
  app.get(
    '/v1/me',
    {
      config: { role: 'viewer' },
      schema: { summary: 'Whom the token stands for', tags: ['health'], response: answers(Me) },
    },
    async (request) => actorOf(request),
  )
}
