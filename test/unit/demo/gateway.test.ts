import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignJWT, UnsecuredJWT } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { callerNamed, ISSUER } from '../../../cli/demo/callers.ts'
import { startGateway } from '../../../cli/demo/gateway.ts'
import { claimsAt, NIGHT } from '../../../cli/demo/history.ts'
import { signToken } from '../../../cli/demo/token.ts'
import { startUpstream } from '../../../cli/demo/upstream.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import { kong } from '../../../ingest/formats/kong.ts'
import { parsed, SETTINGS } from '../ingest/formats/kong-line.ts'

const SECRET = new TextEncoder().encode('a secret of the demo that is long enough')
const CLAIMS = claimsAt('orders-svc', NIGHT)
const READING = { ...SETTINGS, records: { ...SETTINGS.records, headers: ['x-records-returned'] } }

/** What Curfew reads from the only line. */
function readFrom(lines: readonly string[]): AccessEvent {
  expect(lines).toHaveLength(1)
  const { events, rejections } = parsed(kong, lines[0]!, READING, NIGHT)
  expect(rejections).toEqual([])
  return events[0]!
}

const closers: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A server that answers as told, standing in for the decision endpoint. */
async function answering(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function gateway(decisions: string): Promise<{ url: string; lines: string[] }> {
  const upstream = await startUpstream()
  closers.push(upstream.close)
  const lines: string[] = []
  const started = await startGateway({
    upstream: upstream.url,
    decisions,
    secret: SECRET,
    clock: { now: () => wallTime(NIGHT) },
    log: (line) => lines.push(line),
  })
  closers.push(started.close)
  return { url: started.url, lines }
}

function get(url: string, token: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return fetch(`${url}/v1/orders?page=2&size=25`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
  })
}

describe('demo gateway', () => {
  it('passes a verified call on and logs it as Kong does', async () => {
    const asked: IncomingMessage[] = []
    const { url, lines } = await gateway(
      await answering((request, response) => {
        asked.push(request)
        response.end()
      }),
    )
    const response = await get(url, await signToken(CLAIMS, SECRET), { 'x-consumer-id': 'somebody-else' })
    expect(response.status).toBe(200)
    expect(((await response.json()) as { items: unknown[] }).items).toHaveLength(25)
    expect(asked[0]!.headers['x-consumer-id']).toBe(callerNamed('orders-svc').id)
    const event = readFrom(lines)
    expect(event.principal).toMatchObject({ kind: 'consumer', label: 'orders-svc', verified: true })
    expect(event).toMatchObject({ status: 200, records: 25, refusedBy: null, route: '/v1/orders' })
    expect(event.token).toMatchObject({ iss: ISSUER, jti: CLAIMS.jti, exp: CLAIMS.exp })
  })

  it('refuses as Curfew says, and says so in its log', async () => {
    const { url, lines } = await gateway(
      await answering((_request, response) => {
        response.writeHead(429, { 'x-curfew-decision': 'dec_1', 'retry-after': '7' }).end('{}')
      }),
    )
    const response = await get(url, await signToken(CLAIMS, SECRET))
    expect(response.status).toBe(429)
    expect(response.headers.get('retry-after')).toBe('7')
    await response.arrayBuffer()
    expect(readFrom(lines)).toMatchObject({ status: 429, refusedBy: 'curfew', records: null })
  })

  it('lets calls pass when nobody answers for Curfew', async () => {
    const { url } = await gateway('http://127.0.0.1:1')
    const response = await get(url, await signToken(CLAIMS, SECRET))
    expect(response.status).toBe(200)
    await response.arrayBuffer()
  })

  it.each([
    [
      'of another secret',
      () => signToken(CLAIMS, new TextEncoder().encode('another secret that is long enough too')),
    ],
    ['without a signature', async () => new UnsecuredJWT({ ...CLAIMS }).encode()],
    ['that has expired', () => signToken({ ...CLAIMS, exp: NIGHT / 1_000 - 60 }, SECRET)],
    ['of another issuer', () => signToken({ ...CLAIMS, iss: 'https://else.example.test/' }, SECRET)],
    [
      'with another algorithm',
      () => new SignJWT({ ...CLAIMS }).setProtectedHeader({ alg: 'HS512' }).sign(SECRET),
    ],
    ['of nobody it knows', () => signToken({ ...CLAIMS, sub: 'mallory' }, SECRET)],
  ])('refuses a token %s and books the call on its address', async (_what, make) => {
    const { url, lines } = await gateway(await answering((_request, response) => void response.end()))
    const response = await get(url, await make())
    expect(response.status).toBe(401)
    await response.arrayBuffer()
    const event = readFrom(lines)
    expect(event.principal).toMatchObject({ kind: 'ip', verified: false })
    expect(event).toMatchObject({ refusedBy: 'gateway', token: null })
  })
})
