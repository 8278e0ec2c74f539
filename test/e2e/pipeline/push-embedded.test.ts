import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Page, PrincipalView } from '../../../engine/control-plane.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, startCurfew } from '../../services/curfew-process.ts'
import { freePort } from '../../services/free-port.ts'

const ADMIN_TOKEN = 'push-admin-token-0123456789abc'
const PUSH_TOKEN = 'push-source-token-0123456789'
const MAX_BODY_BYTES = 65_536

/** What Kong's http-log plugin sends about one call. */
function kongEntry(consumer: string, request: string): object {
  const id = `${consumer}-id`
  return {
    started_at: Date.now(),
    client_ip: '203.0.113.9',
    request: { id: request, method: 'GET', uri: '/v1/orders/7', size: 300, headers: {}, querystring: {} },
    response: { status: 200, size: 900, headers: { 'x-records-returned': '3' } },
    latencies: { kong: 1, proxy: 8, request: 9 },
    consumer: { id, username: consumer },
    authenticated_entity: { id: `${consumer}-credential` },
    upstream_status: '200',
  }
}

describe('Kong pushes its log to an embedded Curfew', () => {
  let compiled: CompiledProgram
  let folder: string
  let port: number
  let curfew: CurfewProcess

  beforeAll(async () => {
    compiled = await compileProgram()
    folder = await mkdtemp(join(tmpdir(), 'curfew-push-'))
    port = await freePort()
    const config = `
store: { kind: embedded, folder: state }
log: { kind: embedded, folder: log }
deadLetters: { kind: file, folder: dead-letters }
sources:
  - name: kong
    kind: http
    format: kong
    gateway: { kind: kong, id: edge }
    listen: 127.0.0.1:${port}
    maxBodyBytes: ${MAX_BODY_BYTES}
    tokenEnv: PUSH_TOKEN
admin: { listen: '127.0.0.1:0', tokens: [{ name: test, role: admin, tokenEnv: ADMIN_TOKEN }] }
`
    await writeFile(join(folder, 'curfew.yaml'), config)
  })
  afterEach(() => void curfew?.child.kill('SIGKILL'))
  afterAll(async () => {
    await compiled?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  async function start(): Promise<void> {
    curfew = await startCurfew({
      program: compiled.file('cli/main.ts'),
      args: ['run', '--config', 'curfew.yaml'],
      cwd: folder,
      env: { ADMIN_TOKEN, PUSH_TOKEN },
      token: ADMIN_TOKEN,
    })
  }

  async function push(
    body: string | Buffer,
    headers: Readonly<Record<string, string>> = {},
    path = '/ingest/kong',
  ) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${PUSH_TOKEN}`, 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : new Uint8Array(body),
    })
    await response.text()
    return response.status
  }

  /** Resolves when each consumer has exactly so many calls. */
  async function expectEvents(expected: Readonly<Record<string, number>>): Promise<void> {
    await eventually(`calls ${JSON.stringify(expected)}`, async () => {
      const { items } = (await curfew.api('/v1/principals')).body as Page<PrincipalView>
      const found = new Map(items.map((p) => [p.entity, p.events]))
      for (const [name, count] of found)
        expect(count).toBeLessThanOrEqual(expected[name.replace('consumer:', '')] ?? 0)
      return Object.entries(expected).every(([name, count]) => found.get(`consumer:${name}`) === count)
        ? true
        : null
    })
  }

  it('takes single objects, arrays and gzip; what it acknowledged survives a kill, once', async () => {
    await start()
    expect(await push(JSON.stringify(kongEntry('alice', 'r1')))).toBe(202)
    expect(await push(JSON.stringify([kongEntry('alice', 'r2'), kongEntry('bob', 'r3')]))).toBe(202)
    const zipped = gzipSync(JSON.stringify(kongEntry('bob', 'r4')))
    expect(await push(zipped, { 'content-encoding': 'gzip' })).toBe(202)
    // Killed at once: the call may be folded or not, but no checkpoint can hold it yet.
    expect(await push(JSON.stringify(kongEntry('carol', 'r5')))).toBe(202)
    expect(await curfew.end('SIGKILL')).toBe('SIGKILL')

    await start()
    const all = { alice: 2, bob: 2, carol: 1 }
    await expectEvents(all)
    expect(await curfew.end('SIGTERM')).toBe(0)

    await start()
    await expectEvents(all)
    expect(await push(JSON.stringify(kongEntry('carol', 'r6')))).toBe(202)
    await expectEvents({ ...all, carol: 2 })
    expect(await curfew.end('SIGTERM')).toBe(0)
  })

  it('refuses who may not push and what it cannot take, and keeps going after broken lines', async () => {
    await start()
    const line = JSON.stringify(kongEntry('dora', 'd1'))
    expect(await push(line, { authorization: 'Bearer somebody-else-0123456789' })).toBe(401)
    expect(await push(line, {}, '/ingest/canonical')).toBe(404)
    expect(await push('x'.repeat(MAX_BODY_BYTES + 1))).toBe(413)
    expect(await push(gzipSync('x'.repeat(10 * MAX_BODY_BYTES)), { 'content-encoding': 'gzip' })).toBe(413)
    expect(await push(line, { 'content-encoding': 'br' })).toBe(415)
    expect(await push(`{"request": broken\n${line}\n`)).toBe(202)
    await expectEvents({ alice: 2, bob: 2, carol: 2, dora: 1 })
    const metrics = await fetch(`${curfew.admin}/metrics`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    })
    expect(await metrics.text()).toMatch(/curfew_rejected_total\{reason="[a-z0-9-]+"\} 1$/m)
    expect(await curfew.end('SIGTERM')).toBe(0)
  })
})
