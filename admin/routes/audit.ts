import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { ControlPlane } from '../../engine/control-plane.ts'
import { type AdminApp, answers, type RouteContext } from '../route.ts'
import { AuditSchema, MAX_PAGE, strict } from '../schemas.ts'

const Seq = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 })
const ListQuery = strict({
  after: Seq,
  limit: Type.Integer({ minimum: 1, maximum: MAX_PAGE, default: 100 }),
})
const LastQuery = strict({ limit: ListQuery.properties.limit })
const ExportQuery = strict({ after: Seq })
const AuditPage = Type.Object({
  items: Type.Array(AuditSchema),
  nextAfter: Type.Integer({ description: 'give it as `after` to read on' }),
})

/** Who changed what, when and why. */
export function auditRoutes(app: AdminApp, { controlPlane }: RouteContext): void {
  app.get(
    '/v1/audit',
    {
      config: { role: 'responder' },
      schema: {
        summary: 'Audit entries after a sequence number, oldest first',
        tags: ['audit'],
        querystring: ListQuery,
        response: answers(AuditPage),
      },
    },
    async ({ query }) => {
      const items = [...(await controlPlane.audit(query.after, query.limit))]
      return { items, nextAfter: items.at(-1)?.seq ?? query.after }
    },
  )
  app.get(
    '/v1/audit/last',
    {
      config: { role: 'responder' },
      schema: {
        summary: 'The newest audit entries, newest first',
        tags: ['audit'],
        querystring: LastQuery,
        response: answers(Type.Object({ items: Type.Array(AuditSchema) })),
      },
    },
    async ({ query }) => {
      const end = await lastSeq(controlPlane)
      const items = await controlPlane.audit(Math.max(0, end - query.limit), query.limit)
      return { items: items.toReversed() }
    },
  )
  app.get(
    '/v1/audit/export',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Every audit entry after a sequence number as JSON lines',
        tags: ['audit'],
        querystring: ExportQuery,
        produces: ['application/x-ndjson'],
      },
    },
    async ({ query }, reply) =>
      reply
        .header('content-type', 'application/x-ndjson')
        .header('content-disposition', 'attachment; filename="curfew-audit.ndjson"')
        .send(Readable.from(auditLines(controlPlane, query.after))),
  )
}

/** Sequence numbers have no gaps, so the last one is found by doubling and halving. */
async function lastSeq(controlPlane: ControlPlane): Promise<number> {
  const beyond = async (seq: number) => (await controlPlane.audit(seq, 1)).length === 0
  let high = 1
  while (!(await beyond(high))) high *= 2
  let low = 0
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (await beyond(middle)) high = middle
    else low = middle + 1
  }
  return low
}

async function* auditLines(controlPlane: ControlPlane, from: number): AsyncGenerator<string> {
  let after = from
  for (;;) {
    const entries = await controlPlane.audit(after, MAX_PAGE)
    if (entries.length === 0) return
    yield entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')
    after = entries.at(-1)?.seq ?? after
  }
}
