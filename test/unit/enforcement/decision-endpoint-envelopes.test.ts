import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { startDecisionEndpoint } from '../../../enforcement/decision-endpoint.ts'
import { type Envelope, envelopeId } from '../../../enforcement/envelope.ts'
import { ENVELOPE_HEADER, EnvelopeBook, envelopeOfHeader } from '../../../enforcement/envelope-book.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'

const NOW = Date.UTC(2026, 10, 25, 12, 0, 1)
const STOP = new AbortController().signal
const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const principal = (id: string) => ({ kind: 'consumer' as const, id, label: id, verified: true })

function envelope(id: string, requestsPer10s: number): Envelope {
  return {
    id: envelopeId('default', principal(id)),
    principal: principal(id),
    limits: { inFlight: 2, requestsPer10s, recordsPer10min: 180, bytesPer10min: null },
    until: wallTime(NOW + 60_000),
  }
}

async function start(enforced: boolean) {
  let now = NOW
  const clock = { now: () => wallTime(now) }
  const denyList = new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
  await denyList.refresh(STOP)
  const book = new EnvelopeBook('deny')
  const endpoint = await startDecisionEndpoint({
    denyList,
    clock,
    port: 0,
    issuers: [],
    requireIdentity: false,
    trustHeaders: { consumer: 'x-consumer-id', credential: null },
    apiKeyHeader: null,
    failMode: 'open',
    maxStaleMs: 10_000,
    envelopes: { book, enforced },
  })
  closing.push(() => endpoint.close())
  const ask = (id: string) => fetch(`${endpoint.url}/decide`, { headers: { 'x-consumer-id': id } })
  const wait = (ms: number) => {
    now += ms
  }
  return { denyList, book, ask, wait }
}

const statuses = async (ask: () => Promise<Response>, times: number) => {
  const seen: number[] = []
  for (let i = 0; i < times; i++) seen.push((await ask()).status)
  return seen
}

describe('the decision endpoint with envelopes', () => {
  it('refuses more requests than the envelope leaves, and lets them pass again later', async () => {
    const { book, ask, wait } = await start(true)
    const mine = envelope('a', 3)
    await book.put(mine)
    expect(await statuses(() => ask('a'), 4)).toEqual([200, 200, 200, 429])
    const refused = await ask('a')
    expect(refused.headers.get('x-curfew-reason')).toBe('envelope')
    expect(refused.headers.get('x-curfew-decision')).toBe(mine.id)
    expect(refused.headers.get('retry-after')).toBe('10')
    expect(await statuses(() => ask('b'), 5)).toEqual([200, 200, 200, 200, 200])
    expect(book.refusals(mine.id)).toBe(2)
    wait(20_000)
    expect((await ask('a')).status).toBe(200)
  })

  it('tells a gateway the limits that only a gateway can count', async () => {
    const { book, ask } = await start(true)
    const mine = envelope('a', 3)
    await book.put(mine)
    const told = (await ask('a')).headers.get(ENVELOPE_HEADER) ?? undefined
    expect(envelopeOfHeader(told)).toEqual({
      id: mine.id,
      limits: { ...mine.limits, requestsPer10s: Number.MAX_SAFE_INTEGER },
    })
    expect((await ask('b')).headers.get(ENVELOPE_HEADER)).toBeNull()
  })

  it('lets everything pass in observe mode, tells nobody, and counts what it would have refused', async () => {
    const { book, ask } = await start(false)
    const mine = envelope('a', 3)
    await book.put(mine)
    expect(await statuses(() => ask('a'), 5)).toEqual([200, 200, 200, 200, 200])
    expect((await ask('a')).headers.get(ENVELOPE_HEADER)).toBeNull()
    expect(book.refusals(mine.id)).toBe(3)
  })

  it('neither loosens a throttle nor uses it up', async () => {
    const { denyList, book, ask, wait } = await start(true)
    const scope = { kind: 'principal' as const, principal: principal('a') }
    const limit = { requests: 2, windowSeconds: 60 }
    const until = wallTime(NOW + 600_000)
    await denyList.put({ id: 'dec_1', action: 'throttle', scope, limit, until }, STOP)
    await book.put({ ...envelope('a', 100), until })
    expect(await statuses(() => ask('a'), 3)).toEqual([200, 200, 429])
    await book.put({ ...envelope('a', 0), until })
    wait(61_000)
    expect((await ask('a')).headers.get('x-curfew-reason')).toBe('envelope')
    await book.put({ ...envelope('a', 100), until })
    // What the envelope refused is no admission of the throttle's.
    expect(await statuses(() => ask('a'), 3)).toEqual([200, 200, 429])
  })
})

describe('the header of an envelope', () => {
  it.each(['', 'x', 'id=env_1', 'id=env_1;in-flight=x', 'in-flight=2', 'id=env_1;in-flight=2;records=-'])(
    'is nothing when it reads %j',
    (text) => {
      expect(envelopeOfHeader(text)).toBeNull()
    },
  )
})
