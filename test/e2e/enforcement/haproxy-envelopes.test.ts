import { createServer, type Server } from 'node:http'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { EnvelopeLimits } from '../../../core/envelope.ts'
import { wallTime } from '../../../core/time.ts'
import { type Envelope, envelopeId } from '../../../enforcement/envelope.ts'
import { HaproxyEnvelopes } from '../../../enforcement/gateways/haproxy-envelopes.ts'
import { type EnvelopeCase, envelopeContract } from '../../contracts/enforcement/envelope-contract.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'

if (haproxyMissing !== null) console.warn(`SKIPPED: ${haproxyMissing}`)

const STOP = new AbortController().signal
/** Of `startHaproxy`. */
const ISSUER = 'https://idp.test/realm'
const WIDE: EnvelopeLimits = {
  inFlight: 1_000,
  requestsPer10s: 1_000,
  recordsPer10min: null,
  bytesPer10min: null,
}

describe.skipIf(haproxyMissing !== null)('envelopes in a real HAProxy', () => {
  let upstream: Server
  let haproxy: RunningHaproxy
  let holder: HaproxyEnvelopes
  let records = 1
  let body = 'x'
  let holdMs = 0
  let callers = 0

  beforeAll(async () => {
    upstream = createServer((_, response) => {
      setTimeout(() => {
        response.setHeader('X-Records-Returned', String(records))
        response.end(body)
      }, holdMs)
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    haproxy = await startHaproxy({ logPort: 9, upstreamPort: address.port })
    holder = new HaproxyEnvelopes({ name: 'edge', ...haproxy })
  })

  afterEach(() => {
    records = 1
    body = 'x'
    holdMs = 0
  })

  afterAll(async () => {
    await haproxy?.stop()
    await new Promise((resolve) => upstream?.close(resolve))
  })

  const envelope = (sub: string, limits: Partial<EnvelopeLimits>, until = Date.now() + 60_000): Envelope => {
    const principal = {
      kind: 'sub' as const,
      id: JSON.stringify([haproxy.issuer, sub]),
      label: sub,
      verified: true,
    }
    const id = envelopeId('default', principal)
    return { id, principal, limits: { ...WIDE, ...limits }, until: wallTime(until) }
  }

  async function caller(): Promise<{ sub: string; call: () => Promise<Response> }> {
    const sub = `caller-${++callers}`
    const now = Math.floor(Date.now() / 1_000)
    const token = await new SignJWT({ iss: haproxy.issuer, sub, jti: sub, iat: now - 5, exp: now + 600 })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(haproxy.secret))
    const call = () =>
      fetch(`http://127.0.0.1:${haproxy.port}/v1/orders`, { headers: { authorization: `Bearer ${token}` } })
    return { sub, call }
  }

  const statuses = async (call: () => Promise<Response>, times: number) => {
    const seen: number[] = []
    for (let i = 0; i < times; i++) {
      const response = await call()
      await response.arrayBuffer()
      seen.push(response.status)
    }
    return seen
  }

  it('hold records: the call that crosses the limit is the last', async () => {
    const { sub, call } = await caller()
    const mine = envelope(sub, { recordsPer10min: 180 })
    records = 25
    await holder.put(mine, STOP)
    expect(await statuses(call, 10)).toEqual([...Array<number>(8).fill(200), 429, 429])
    const refused = await call()
    expect(refused.headers.get('x-curfew-decision')).toBe(mine.id)
    expect(await refused.json()).toEqual({ error: 'envelope', limit: 'records' })
    const other = await caller()
    expect(await statuses(other.call, 10)).toEqual(Array<number>(10).fill(200))
    await holder.remove(new Set([mine.id]), STOP)
    expect(await statuses(call, 1)).toEqual([200])
  })

  it('hold bytes and calls', async () => {
    const big = await caller()
    await holder.put(envelope(big.sub, { bytesPer10min: 50_000 }), STOP)
    body = 'x'.repeat(20_000)
    expect(await statuses(big.call, 4)).toEqual([200, 200, 200, 429])
    const quick = await caller()
    await holder.put(envelope(quick.sub, { requestsPer10s: 3 }), STOP)
    expect(await statuses(quick.call, 5)).toEqual([200, 200, 200, 429, 429])
  })

  it('hold calls under way, and none that has ended', async () => {
    const { sub, call } = await caller()
    await holder.put(envelope(sub, { inFlight: 2 }), STOP)
    holdMs = 500
    const together = await Promise.all(Array.from({ length: 6 }, () => call()))
    expect(together.map(({ status }) => status).sort()).toEqual([200, 200, 429, 429, 429, 429])
    await Promise.all(together.map((response) => response.arrayBuffer()))
    holdMs = 0
    expect(await statuses(call, 5)).toEqual(Array<number>(5).fill(200))
  })

  it('end by themselves, are listed as they were put, and outlive a reload', async () => {
    const { sub, call } = await caller()
    const ended = envelope(sub, { requestsPer10s: 0 }, Date.now() - 1_000)
    await holder.put(ended, STOP)
    expect(await statuses(call, 2)).toEqual([200, 200])
    const standing = envelope(sub, { requestsPer10s: 0, recordsPer10min: 7 })
    await holder.put(standing, STOP)
    await holder.settle(STOP)
    expect((await holder.list(STOP)).find(({ id }) => id === standing.id)).toEqual(standing)
    await haproxy.reload()
    expect(await statuses(call, 1)).toEqual([429])
    await holder.remove(new Set([standing.id]), STOP)
    await holder.settle(STOP)
  })

  it('are not those of others', async () => {
    const { sub } = await caller()
    const mine = envelope(sub, {})
    await haproxy.command(`add map ${haproxy.mapFolder}/envelopes.map ${'a'.repeat(64)} 5`)
    await holder.put(mine, STOP)
    await holder.remove(new Set((await holder.list(STOP)).map(({ id }) => id)), STOP)
    expect(await holder.list(STOP)).toEqual([])
    expect(await haproxy.command(`show map ${haproxy.mapFolder}/envelopes.map`)).toMatch(/a{64} 5/)
  })
})

/** A fresh HAProxy for each check, in front of a service that answers at once. */
const CASE: EnvelopeCase = {
  name: 'HAProxy',
  caller: (name) => ({ kind: 'sub', id: JSON.stringify([ISSUER, name]), label: name, verified: true }),
  make: async () => {
    const upstream = createServer((_, response) => response.end('{}'))
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const haproxy = await startHaproxy({ logPort: 9, upstreamPort: address.port })
    return {
      holder: new HaproxyEnvelopes({ name: 'edge', ...haproxy }),
      now: () => wallTime(Date.now()),
      call: async ({ label }) => {
        const seconds = Math.floor(Date.now() / 1_000)
        const claims = { iss: haproxy.issuer, sub: label, jti: label, iat: seconds - 5, exp: seconds + 600 }
        const token = await new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256' })
          .sign(new TextEncoder().encode(haproxy.secret))
        const headers = { authorization: `Bearer ${token}` }
        const response = await fetch(`http://127.0.0.1:${haproxy.port}/v1/orders`, { headers })
        await response.arrayBuffer()
        return response.status === 429 ? response.headers.get('x-curfew-decision') : null
      },
      close: async () => {
        await haproxy.stop()
        await new Promise((resolve) => upstream.close(resolve))
      },
    }
  },
}

if (haproxyMissing === null) envelopeContract(CASE)
