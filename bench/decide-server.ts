/**
 * Child process of the benchmark of the decision endpoint. `bare` is a Fastify server that answers every call with
 * an empty 200, `ours` the endpoint over a deny list of so many rules. Prints its port; ends with its parent.
 */
import fastify from 'fastify'
import { wallTime } from '../core/time.ts'
import { startDecisionEndpoint } from '../enforcement/decision-endpoint.ts'
import { DenyList } from '../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../enforcement/gateways/deny-list-store.ts'
import { ISSUER, REVOKED_EVERY, SECRET } from './decide-calls.ts'

const [kind, rules = '0'] = process.argv.slice(2)
const HOUR_MS = 3_600_000
const REFRESH_MS = 1_000

async function bare(): Promise<number> {
  const app = fastify({ logger: false })
  app.get('/decide', (_request, reply) => reply.send())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function ours(count: number): Promise<number> {
  const clock = { now: () => wallTime(Date.now()) }
  const denyList = new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
  const never = new AbortController().signal
  const until = wallTime(Date.now() + HOUR_MS)
  for (let i = 0; i < count; i++) {
    const scope = { kind: 'token', iss: ISSUER, jti: `token-${i * REVOKED_EVERY}` } as const
    await denyList.put({ id: `dec_${i}`, action: 'revoke-token', scope, limit: null, until }, never)
  }
  void denyList.follow(REFRESH_MS, never, () => undefined)
  const endpoint = await startDecisionEndpoint({
    denyList,
    clock,
    port: 0,
    issuers: [
      { issuer: ISSUER, audience: null, keys: [{ kind: 'secret', algorithm: 'HS256', secret: SECRET }] },
    ],
    requireIdentity: false,
    trustHeaders: null,
    apiKeyHeader: null,
    subjectId: (token) => (token.sub === null ? null : JSON.stringify([token.iss, token.sub])),
    failMode: 'closed',
    maxStaleMs: 15_000,
  })
  return endpoint.port
}

const port = kind === 'bare' ? await bare() : await ours(Number(rules))
process.stdout.write(`port ${port}\n`)
// Each message asks for the CPU time used so far, in microseconds.
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.(user + system)
})
process.on('disconnect', () => process.exit(0))
