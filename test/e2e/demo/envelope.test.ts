import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CALLERS, type Caller } from '../../../cli/demo/callers.ts'
import { startGateway } from '../../../cli/demo/gateway.ts'
import { claimsAt } from '../../../cli/demo/history.ts'
import type { LoopbackServer } from '../../../cli/demo/loopback-server.ts'
import { signToken } from '../../../cli/demo/token.ts'
import { startUpstream } from '../../../cli/demo/upstream.ts'
import { wallTime } from '../../../core/time.ts'
import { type DecisionEndpoint, startDecisionEndpoint } from '../../../enforcement/decision-endpoint.ts'
import { envelopeId } from '../../../enforcement/envelope.ts'
import { EnvelopeBook } from '../../../enforcement/envelope-book.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'

const SECRET = new TextEncoder().encode('demo-envelope-secret-0123456789abcdef')
const clock = { now: () => wallTime(Date.now()) }
const STOP = new AbortController().signal
const [thief, other] = CALLERS as readonly [Caller, Caller]

describe('the gateway of the demo with an envelope', () => {
  let upstream: LoopbackServer
  let endpoint: DecisionEndpoint
  let gateway: LoopbackServer
  const lines: string[] = []

  beforeEach(async () => {
    lines.length = 0
    const denyList = new DenyList({ name: 'own', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
    await denyList.refresh(STOP)
    const book = new EnvelopeBook('own')
    const principal = { kind: 'consumer' as const, id: thief.id, label: thief.username, verified: true }
    await book.put({
      id: envelopeId('default', principal),
      principal,
      limits: { inFlight: 2, requestsPer10s: 1_000, recordsPer10min: 180, bytesPer10min: null },
      until: wallTime(Date.now() + 60_000),
    })
    endpoint = await startDecisionEndpoint({
      denyList,
      clock,
      port: 0,
      issuers: [],
      requireIdentity: false,
      trustHeaders: { consumer: 'x-consumer-id', credential: null },
      apiKeyHeader: null,
      failMode: 'open',
      maxStaleMs: 60_000,
      envelopes: { book, enforced: true },
    })
    upstream = await startUpstream()
    gateway = await startGateway({
      upstream: upstream.url,
      decisions: endpoint.url,
      secret: SECRET,
      clock,
      log: (line) => lines.push(line),
    })
  })

  afterEach(async () => {
    await gateway?.close()
    await endpoint?.close()
    await upstream?.close()
  })

  async function page({ username }: Caller, size: number) {
    const token = await signToken(claimsAt(username, Date.now()), SECRET)
    const headers = { authorization: `Bearer ${token}` }
    const response = await fetch(`${gateway.url}/v1/orders?page=1&size=${size}`, { headers })
    const body = (await response.json()) as { items?: readonly unknown[] }
    return { status: response.status, records: body.items?.length ?? 0 }
  }

  it('serves at most two large pages to twenty connections, and all to another caller', async () => {
    const asked = await Promise.all(Array.from({ length: 20 }, () => page(thief, 500)))
    expect(asked.reduce((sum, { records }) => sum + records, 0)).toBeLessThanOrEqual(1_000)
    expect(asked.filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(18)
    expect((await page(thief, 1)).status).toBe(429)
    const others = await Promise.all(Array.from({ length: 20 }, () => page(other, 500)))
    expect(others.every(({ status }) => status === 200)).toBe(true)
  })

  it('serves what the envelope leaves, and logs the rest as refused by Curfew', async () => {
    const statuses: number[] = []
    for (let i = 0; i < 10; i++) statuses.push((await page(thief, 25)).status)
    expect(statuses).toEqual([...Array<number>(8).fill(200), 429, 429])
    const last = JSON.parse(lines.at(-1)!) as { response: { headers: Record<string, string> } }
    expect(last.response.headers['x-curfew-decision']).toMatch(/^env_/)
  })
})
