import { createSocket, type Socket } from 'node:dgram'
import { createServer, type Server } from 'node:http'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Principal } from '../../../core/event.ts'
import { HOUR_MS } from '../../../core/time.ts'
import type { SourceSettings } from '../../../ingest/format.ts'
import { canonical } from '../../../ingest/formats/canonical.ts'
import { LineFeed } from '../../scenarios/identity/engine-lines.ts'
import {
  download,
  figures,
  learntServices,
  NIGHT_AFTER,
  RECORDS_PER_CALL,
  type Theft,
} from '../../scenarios/identity/theft.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'

if (haproxyMissing !== null) console.warn(`SKIPPED: ${haproxyMissing}`)

const CALLS = 60
const THIEF = 'orders-svc'
const WAIT_MS = 10_000

const SETTINGS: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'haproxy', id: 'edge' },
  principal: { order: ['sub'], issuers: new Map() },
  records: { headers: [], contentRange: false, field: null, bytesPerRecord: null },
}

/** What the thief adds to its calls. */
interface Disguise {
  readonly headers: Readonly<Record<string, string>>
  readonly query: string
}

describe.skipIf(haproxyMissing !== null)('the 3 AM download through a real HAProxy and its own log', () => {
  let log: Socket
  let upstream: Server
  let haproxy: RunningHaproxy
  const datagrams: Buffer[] = []

  beforeAll(async () => {
    log = createSocket('udp4')
    log.on('message', (message) => datagrams.push(Buffer.from(message)))
    await new Promise<void>((resolve) => log.bind(0, '127.0.0.1', resolve))
    upstream = createServer((_, response) => {
      response.setHeader('X-Records-Returned', String(RECORDS_PER_CALL))
      response.end('r'.repeat(380 * RECORDS_PER_CALL))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    haproxy = await startHaproxy({ logPort: log.address().port, upstreamPort: address.port })
  })

  afterAll(async () => {
    await haproxy?.stop()
    await new Promise((resolve) => upstream?.close(resolve))
    await new Promise<void>((resolve) => log?.close(resolve))
  })

  /** Real calls, then their real log lines into a partition that knows the thief's two weeks. */
  async function theft({ headers, query }: Disguise): Promise<Theft & { readonly longest: number }> {
    datagrams.length = 0
    const now = Date.now()
    const seconds = Math.floor(now / 1_000)
    const token = await new SignJWT({
      iss: haproxy.issuer,
      sub: THIEF,
      jti: 'night',
      iat: seconds - 60,
      exp: seconds + 3_600,
    })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(haproxy.secret))
    for (let i = 0; i < CALLS; i++) {
      const url = `http://127.0.0.1:${haproxy.port}/v1/orders?page=${i}${query}`
      const response = await fetch(url, { headers: { ...headers, authorization: `Bearer ${token}` } })
      await response.arrayBuffer()
      expect(response.status).toBe(200)
    }
    for (const until = Date.now() + WAIT_MS; datagrams.length < CALLS && Date.now() < until; ) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(datagrams).toHaveLength(CALLS)
    const id = JSON.stringify([haproxy.issuer, THIEF])
    const thief: Principal = { kind: 'sub', id, label: THIEF, verified: true }
    const start = Math.floor((now - NIGHT_AFTER) / HOUR_MS) * HOUR_MS
    const feed = new LineFeed(canonical, SETTINGS, learntServices(thief, start))
    const lines = datagrams.map((bytes) => ({ bytes, receivedAt: Date.now() }))
    return { ...download(feed, lines), longest: Math.max(...datagrams.map((d) => d.length)) }
  }

  it('leaves no more than twice the records with a quote, 9 kB or one id in what the client sends', async () => {
    const plain = await theft({ headers: {}, query: '' })
    console.log(figures('haproxy, plain', plain, plain))
    expect(plain.restricted?.principal.label).toBe(THIEF)
    const long = 'x'.repeat(4_500)
    const disguises: readonly (readonly [string, Disguise])[] = [
      [
        'a quote in the user agent',
        { headers: { 'user-agent': 'curl/8 "\\","principal":{"kind":"ip"},"x":"' }, query: '' },
      ],
      ['9 kB of user agent and URL', { headers: { 'user-agent': long }, query: `&q=${long}` }],
      ['9 kB that all need escapes', { headers: { 'user-agent': '"\\'.repeat(2_250) }, query: `&q=${long}` }],
      [
        'one request id for all',
        { headers: { 'x-request-id': 'same', 'x-correlation-id': 'same' }, query: '' },
      ],
    ]
    for (const [what, disguise] of disguises) {
      const result = await theft(disguise)
      console.log(`${figures(`haproxy, ${what}`, result, plain)}; longest line ${result.longest} bytes`)
      expect(result).toMatchObject({ deadLetters: 0, scored: CALLS })
      expect(result.opened.map((a) => a.entity.id)).toEqual([`sub:${THIEF}`])
      expect(result.restricted?.principal.label).toBe(THIEF)
      expect(result.recordsLeft).toBeLessThanOrEqual(2 * plain.recordsLeft)
    }
  }, 120_000)
})
