import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROLES } from '../../../admin/access.ts'
import { type RunningServer, runServer } from '../../e2e/admin/running-server.ts'

let running: RunningServer
beforeAll(async () => {
  running = await runServer()
})
afterAll(() => running.server.close())

/** Field names that the API knows, so that some of the noise gets past the first check. */
const key = fc.oneof(
  fc.constantFrom(
    'reason',
    'verdict',
    'holdSeconds',
    'settings',
    'values',
    'modes',
    'allow',
    'expires',
    'version',
    'expectedVersion',
    '__proto__',
    'constructor',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
)
const leaf = fc.oneof(
  fc.constantFrom('accept', 'dismiss', 'a planned migration', '2026-02-01T00:00:00Z', 1, 600, 1e308, -0),
  fc.string({ unit: 'binary', maxLength: 50 }),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
)
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('tree')), { maxLength: 6 }).map((pairs) => Object.fromEntries(pairs)),
  ),
}))
const parameter = fc.tuple(
  fc.oneof(fc.constantFrom('limit', 'cursor', 'tenant', 'state', 'status', 'search', 'entity', 'after'), key),
  fc.oneof(
    fc.constantFrom('1', '0', '-1', '1e3', '501', 'open', 'MATURE', ''),
    fc.string({ unit: 'binary', maxLength: 40 }),
  ),
)
const role = fc.constantFrom(...ROLES)
const encode = (text: string) => encodeURIComponent(text.replace(/\p{Cs}/gu, '?'))

function problems(answer: { status: number; json: unknown }): string | null {
  if (answer.status >= 500) return `status ${answer.status}`
  if (answer.status < 400) return null
  const error = (answer.json as { error?: { code?: unknown; message?: unknown } } | undefined)?.error
  return typeof error?.code === 'string' && typeof error.message === 'string' ? null : 'no error body'
}

describe('hostile requests', { timeout: 60_000 }, () => {
  it('whatever the body, the answer is below 500 and errors have a body', async () => {
    const routes = running.server.routes.filter((r) => r.method !== 'GET')
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...routes), tree, role, async (route, body, as) => {
        const path = route.path.replace(':id', 'dec_1')
        expect(problems(await running.call({ method: route.method, path, role: as, body }))).toBeNull()
      }),
      { numRuns: 300 },
    )
  })

  it('whatever the query and the path, likewise', async () => {
    const routes = running.server.routes.filter((r) => r.method === 'GET')
    const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...routes),
        fc.array(parameter, { maxLength: 4 }),
        name,
        role,
        async (route, query, id, as) => {
          const search = query.map(([k, v]) => `${encode(k)}=${encode(v)}`).join('&')
          const path = `${route.path.replace(/:\w+/g, encode(id))}?${search}`
          expect(problems(await running.call({ path, role: as }))).toBeNull()
        },
      ),
      { numRuns: 300 },
    )
  })

  it('raw bytes in paths and bodies, likewise', async () => {
    const raw = fc.string({ unit: 'grapheme-ascii', maxLength: 80 }).map((s) => s.replace(/[\s#]/g, '%'))
    await fc.assert(
      fc.asyncProperty(raw, fc.string({ unit: 'binary', maxLength: 80 }), async (path, body) => {
        const call = { method: 'POST', path: `/v1/${path}`, role: 'admin' as const, body }
        expect(problems(await running.call(call))).toBeNull()
        expect(problems(await running.call({ ...call, path: '/v1/decisions/dec_1/release' }))).toBeNull()
      }),
      { numRuns: 200 },
    )
  })
})
