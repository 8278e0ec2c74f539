import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { formatNamed, SETTINGS } from '../../contracts/ingest/formats/call.ts'
import { freePort } from '../../services/free-port.ts'
import { pageBlocks } from '../../services/page-blocks.ts'
import { parsed } from '../../unit/ingest/formats/kong-line.ts'

const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx'].find((path) => existsSync(path))
const HAPROXY = ['/usr/sbin/haproxy', '/usr/bin/haproxy'].find((path) => existsSync(path))
const required = process.env.CI === 'true'
const SECRET = 'not-a-secret-of-anybody-0123456789'
const QUOTE = 'curl "8" \\" {} ","sub":"victim","verified":1,"y":"'

let folder = ''
let upstream: Server
let started: ChildProcess | null = null

const portOf = (server: Server): number => (server.address() as AddressInfo).port

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-real-logs-'))
  await mkdir(join(folder, 'logs'))
  upstream = createServer((call, reply) => {
    reply.setHeader('X-Records-Returned', '25')
    reply.statusCode = call.url?.startsWith('/v1/none') ? 404 : 200
    reply.end('{"ok":true}')
  }).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
})

afterEach(async () => {
  if (started === null) return
  const ended = started.exitCode === null ? once(started, 'exit') : null
  started.kill('SIGTERM')
  await ended
  started = null
})

afterAll(async () => {
  upstream.close()
  await rm(folder, { recursive: true, force: true })
})

/** A call with headers as they are given; gives its status. */
async function call(port: number, path: string, headers: Record<string, string> = {}): Promise<number> {
  const sent = request({ host: '127.0.0.1', port, path, headers: { connection: 'close', ...headers } })
  sent.end()
  const [reply] = (await once(sent, 'response')) as [{ statusCode: number; resume(): void }]
  reply.resume()
  return reply.statusCode
}

async function eventually<T>(what: string, ask: () => Promise<T | null>): Promise<T> {
  for (let tries = 0; tries < 400; tries++) {
    const answer = await ask().catch(() => null)
    if (answer !== null) return answer
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`${what} did not come`)
}

const said = (e: AccessEvent) => ({
  who: `${e.principal.kind}:${e.principal.label}`,
  verified: e.principal.verified,
  jti: e.token?.jti ?? null,
  path: e.path,
  status: e.status,
  records: e.records,
  refusedBy: e.refusedBy,
})

/** What a format says of all lines; throws when one of them is not read without a word. */
function events(format: string, lines: readonly string[]): AccessEvent[] {
  return lines.flatMap((line) => {
    const { events, rejections } = parsed(formatNamed(format), line, SETTINGS, Date.now())
    expect(rejections, line).toEqual([])
    return events
  })
}

const known = { who: 'sub:al/ice', verified: true, jti: 'j-1', status: 200, records: 25, refusedBy: null }
const nobody = { who: 'ip:127.0.0.1', verified: false, jti: null }

describe.skipIf(NGINX === undefined && !required)('the log_format of docs/gateways/nginx.md', () => {
  it('is read as the page says, from a real NGINX', async () => {
    const decide = createServer((asked, reply) => {
      const token = asked.headers.authorization ?? ''
      if (token !== '') {
        reply.setHeader('X-Curfew-Subject', encodeURIComponent('al/ice'))
        reply.setHeader('X-Curfew-Issuer', encodeURIComponent('https://idp.test'))
        reply.setHeader('X-Curfew-Token', 'j-1')
      }
      if (token === 'held') reply.setHeader('X-Curfew-Decision', 'dec_1')
      reply.statusCode = token === '' ? 401 : token === 'held' ? 403 : 204
      reply.end()
    }).listen(0, '127.0.0.1')
    await once(decide, 'listening')
    const port = await freePort()
    const [http = '', server = ''] = pageBlocks('gateways/nginx.md', 'nginx')
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (k) => `${k}_temp_path t_${k};`,
    )
    await writeFile(
      join(folder, 'nginx.conf'),
      `daemon off; master_process off; pid nginx.pid; error_log logs/error.log warn; events {}
http { ${temporary.join(' ')} upstream upstream { server 127.0.0.1:${portOf(upstream)}; }
${http}
server { listen 127.0.0.1:${port};
${server}
location = /_decide { internal; proxy_pass http://127.0.0.1:${portOf(decide)}/; proxy_pass_request_body off; proxy_set_header Content-Length ""; } } }`,
    )
    started = spawn(NGINX!, ['-p', folder, '-c', 'nginx.conf', '-e', 'logs/error.log'], { stdio: 'ignore' })
    await eventually('NGINX', () => call(port, '/up'))
    const auth = { authorization: 'good' }
    expect(await call(port, '/v1/orders/7?page=1', { ...auth, 'user-agent': QUOTE })).toBe(200)
    expect(await call(port, '/v1/none', auth)).toBe(404)
    expect(
      await call(port, `/v1/orders/8?q=${'x'.repeat(4_000)}`, { ...auth, 'user-agent': 'y'.repeat(3_000) }),
    ).toBe(200)
    expect(await call(port, '/v1/orders/9', { authorization: 'held' })).toBe(403)
    expect(await call(port, '/v1/orders/9', { 'x-curfew-subject': 'victim' })).toBe(401)
    const lines = await eventually('six lines', async () => {
      const all = (await readFile(join(folder, 'logs/curfew.log'), 'utf8')).trimEnd().split('\n')
      return all.length >= 6 ? all : null
    })
    decide.close()
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(3_500)
    expect(events('nginx', lines).slice(1).map(said)).toEqual([
      { ...known, path: '/v1/orders/7' },
      { ...known, path: '/v1/none', status: 404, refusedBy: 'upstream' },
      { ...known, path: '/v1/orders/8' },
      { ...known, path: '/v1/orders/9', status: 403, records: null, refusedBy: 'curfew' },
      { ...nobody, path: '/v1/orders/9', status: 401, records: null, refusedBy: 'gateway' },
    ])
  }, 60_000)
})

describe.skipIf(HAPROXY === undefined && !required)('the log-format of docs/gateways/haproxy.md', () => {
  let log: Socket
  const lines: string[] = []

  it('is read as the page says, from a real HAProxy, behind its syslog prefix', async () => {
    log = createSocket('udp4').bind(0, '127.0.0.1')
    log.on('message', (message) => void lines.push(message.toString().trimEnd()))
    await once(log, 'listening')
    const port = await freePort()
    const [logging = '', verified = ''] = pageBlocks('gateways/haproxy.md', 'haproxy')
    const checks = `http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
http-request set-var(txn.ok) var(txn.bearer),jwt_verify(txn.alg,"${SECRET}") if { var(txn.alg) -m str HS256 }
acl your_token_holds var(txn.ok) -m int 1`
    const own = `http-request set-var(txn.decision) str(dec_1) if { var(txn.verified) -m int 1 } { path /held }
http-request deny deny_status 403 if { path /held }
http-request deny deny_status 401 unless { var(txn.verified) -m int 1 } || { path /open }`
    await writeFile(
      join(folder, 'haproxy.cfg'),
      `global
 log 127.0.0.1:${log.address().port} len 8192 format rfc3164 local0
defaults
 mode http
 log global
 option dontlognull
 timeout connect 2s
 timeout client 5s
 timeout server 5s
frontend api
 bind 127.0.0.1:${port}
${[logging, checks, verified, own].join('\n')}
 default_backend app
backend app
 server a 127.0.0.1:${portOf(upstream)}
`,
    )
    started = spawn(HAPROXY!, ['-db', '-f', join(folder, 'haproxy.cfg')], { stdio: 'ignore' })
    await eventually('HAProxy', () => call(port, '/open'))
    const bearer = { authorization: `Bearer ${token(SECRET)}` }
    const forged = { authorization: `Bearer ${token('another')}` }
    expect(await call(port, '/v1/orders/7?page=1', { ...bearer, 'user-agent': QUOTE })).toBe(200)
    expect(
      await call(port, `/v1/orders/8?q=${'x'.repeat(4_000)}`, { ...bearer, 'user-agent': 'y'.repeat(3_000) }),
    ).toBe(200)
    expect(await call(port, '/held', bearer)).toBe(403)
    expect(await call(port, '/open', forged)).toBe(200)
    expect(await call(port, '/v1/orders/9', forged)).toBe(401)
    await eventually('six lines', async () => (lines.length >= 6 ? true : null))
    log.close()
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(2_000)
    expect(lines[0]).toMatch(/^<\d+>/)
    expect(events('haproxy', lines).slice(1).map(said)).toEqual([
      { ...known, path: '/v1/orders/7' },
      { ...known, path: '/v1/orders/8' },
      { ...known, path: '/held', status: 403, records: null, refusedBy: 'curfew' },
      { ...nobody, path: '/open', status: 200, records: 25, refusedBy: null },
      { ...nobody, path: '/v1/orders/9', status: 401, records: null, refusedBy: 'gateway' },
    ])
  }, 60_000)
})

/** A token of al/ice, signed with a secret (HS256). */
function token(secret: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1_000)
  const claims = { iss: 'https://idp.test', sub: 'al/ice', jti: 'j-1', iat: now, exp: now + 600 }
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}
