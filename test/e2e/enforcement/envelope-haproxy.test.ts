import { createSocket, type Socket } from 'node:dgram'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, createServer, request, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DAY_MS, HOUR_MS } from '../../../core/time.ts'
import type { DecisionView, EnvelopesView, Page } from '../../../engine/control-plane.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, runCurfew, startCurfew } from '../../services/curfew-process.ts'
import { freePort } from '../../services/free-port.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'

if (haproxyMissing !== null) console.warn(`SKIPPED: ${haproxyMissing}`)

const ADMIN_TOKEN = 'envelope-admin-token-0123456789'
const PUSH_TOKEN = 'envelope-push-token-0123456789'
const THIEF = 'orders-svc'
const ORDINARY = 'catalog-svc'
const CONNECTIONS = 20
const PAGE = 25
const LOG_DELAY_MS = 5_000
const HISTORY_DAYS = 14

/** A real HAProxy whose log arrives five seconds late, and a client that is through with its flood before it does. */
describe.skipIf(haproxyMissing !== null)('an envelope at HAProxy', () => {
  let compiled: CompiledProgram
  let folder: string
  let log: Socket
  let upstream: Server
  let haproxy: RunningHaproxy
  let curfew: CurfewProcess
  let pushPort: number
  const sent: string[] = []

  beforeAll(async () => {
    compiled = await compileProgram()
    folder = await mkdtemp(join(tmpdir(), 'curfew-envelope-'))
    pushPort = await freePort()
    log = createSocket('udp4').on('message', (line) => {
      setTimeout(() => void push(line.toString('utf8')), LOG_DELAY_MS)
    })
    await new Promise<void>((resolve) => log.bind(0, '127.0.0.1', resolve))
    upstream = createServer((_, response) => {
      response.setHeader('X-Records-Returned', String(PAGE))
      response.end('r'.repeat(180 * PAGE))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    haproxy = await startHaproxy({ logPort: log.address().port, upstreamPort: address.port })
    const lines = history(haproxy.issuer, Date.now())
    await writeFile(join(folder, 'history.ndjson'), `${lines.join('\n')}\n`)
    await writeFile(join(folder, 'curfew.yaml'), configuration())
    const learnt = await runCurfew(program('backfill', 'history.ndjson'))
    expect(JSON.parse(learnt.stdout)).toMatchObject({ events: lines.length, rejected: 0 })
    curfew = await startCurfew({ ...program('run'), token: ADMIN_TOKEN })
  })

  afterAll(async () => {
    curfew?.child.kill('SIGKILL')
    await haproxy?.stop()
    await new Promise((resolve) => upstream?.close(resolve))
    log?.close()
    await compiled?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  function configuration(): string {
    return `store: { kind: embedded, folder: state }
log: { kind: embedded, folder: log }
deadLetters: { kind: file, folder: dead-letters }
defaultMode: enforce
sources:
  - { name: edge, kind: http, format: canonical, gateway: { kind: haproxy, id: edge }, listen: '127.0.0.1:${pushPort}', tokenEnv: PUSH_TOKEN }
enforcement:
  envelopes: { mode: enforce, everySeconds: 1 }
  gateways: [{ name: edge, kind: haproxy, sockets: ['${haproxy.socketPath}'], mapFolder: '${haproxy.mapFolder}' }]
admin: { listen: '127.0.0.1:0', tokens: [{ name: test, role: admin, tokenEnv: ADMIN_TOKEN }] }
`
  }

  function program(command: string, ...more: string[]) {
    return {
      program: compiled.file('cli/main.ts'),
      args: [command, '--config', 'curfew.yaml', ...more],
      cwd: folder,
      env: { ADMIN_TOKEN, PUSH_TOKEN },
    }
  }

  async function push(line: string): Promise<void> {
    const headers = { authorization: `Bearer ${PUSH_TOKEN}` }
    const url = `http://127.0.0.1:${pushPort}/ingest/edge`
    await fetch(url, { method: 'POST', headers, body: `${line}\n` }).then((answer) => answer.text())
    sent.push(line)
  }

  async function tokenOf(sub: string): Promise<string> {
    const now = Math.floor(Date.now() / 1_000)
    return new SignJWT({ iss: haproxy.issuer, sub, jti: `${sub}-1`, iat: now - 60, exp: now + 7_200 })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(haproxy.secret))
  }

  const envelopes = async () => (await curfew.api('/v1/envelopes')).body as EnvelopesView
  const decisions = async () => ((await curfew.api('/v1/decisions')).body as Page<DecisionView>).items

  it('bounds the flood before any decision, and touches nobody else', async () => {
    const view = await eventually('the envelopes to stand at the gateway', async () => {
      const found = await envelopes()
      const isHeld = found.items.every(({ gateways }) => gateways.every(({ held }) => held))
      return found.callers === 2 && isHeld ? found : null
    })
    const limits = view.items.find(({ entity }) => entity === `sub:${THIEF}`)!.limits
    console.info(`envelope of ${THIEF}: ${JSON.stringify(limits)}`)
    const [thief, ordinary] = [await tokenOf(THIEF), await tokenOf(ORDINARY)]
    const flood = pages(haproxy.port, thief, 200)
    const calm: Answer[] = []
    for (let i = 0; i < 3; i++) {
      calm.push(await call(haproxy.port, ordinary, undefined))
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    const answers = await flood
    const refused = answers.filter(({ status }) => status === 429)
    const served = answers.filter(({ status }) => status === 200)
    console.info(
      `${CONNECTIONS} connections: ${served.length} calls, ${served.length * PAGE} records served; ${refused.length} refused`,
    )
    expect(served.length + refused.length).toBe(answers.length)
    expect(refused.length).toBeGreaterThan(0)
    for (const { decision } of refused) expect(decision).toMatch(/^env_/)
    // What is counted and as many calls as may be under way beside it.
    expect(served.length * PAGE).toBeLessThanOrEqual(limits.recordsPer10min! + limits.inFlight * PAGE)
    expect(served.length * PAGE).toBeLessThanOrEqual(1_000)
    expect(calm.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(sent).toEqual([])
    expect(await decisions()).toEqual([])
  })

  it('is no evidence of anything, and is gone after curfew panic', async () => {
    await eventually('the late log', () => (sent.length >= 200 ? true : null))
    for (const line of sent) {
      const { status, refusedBy } = JSON.parse(line) as { status: number; refusedBy: string | null }
      expect(refusedBy).toBe(status === 429 ? 'curfew' : null)
    }
    const { code, stdout } = await runCurfew(program('panic'))
    expect(stdout).toContain('edge (envelopes)')
    expect(code).toBe(0)
    expect(await haproxy.command(`show map ${haproxy.mapFolder}/envelopes.map`)).toBe('\n')
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(await haproxy.command(`show map ${haproxy.mapFolder}/envelopes.map`)).toBe('\n')
    expect((await envelopes()).callers).toBe(0)
  })
})

/** Two callers with ten calls a day at working hours, some records each. */
function history(issuer: string, now: number): readonly string[] {
  const today = Math.floor(now / DAY_MS) * DAY_MS
  const calls = Array.from({ length: HISTORY_DAYS }, (_, day) => day).flatMap((day) =>
    [THIEF, ORDINARY].flatMap((label, who) =>
      Array.from({ length: 10 }, (_, i) => ({
        label,
        time: today - (HISTORY_DAYS - day) * DAY_MS + (8 + i) * HOUR_MS + (who * 30 + day) * 1_000,
        records: 4 + ((day + i) % 4),
      })),
    ),
  )
  calls.sort((a, b) => a.time - b.time)
  return calls.map(({ label, time, records }, i) =>
    JSON.stringify({
      id: `history-${i}`,
      time,
      principal: { kind: 'sub', id: JSON.stringify([issuer, label]), label, verified: true },
      method: 'GET',
      path: `/v1/orders?page=${i % 9}`,
      status: 200,
      records,
      recordsFrom: 'header',
      responseBytes: 300 + 180 * records,
      latencyMs: 12,
      clientIp: '127.0.0.1',
    }),
  )
}

interface Answer {
  readonly status: number
  readonly decision: string | undefined
}

/** So many pages over 20 connections, each asking for the next as soon as it has one. */
async function pages(port: number, token: string, count: number): Promise<readonly Answer[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const answers: Answer[] = []
  let asked = 0
  const worker = async () => {
    while (asked++ < count) answers.push(await call(port, token, agent))
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  agent.destroy()
  return answers
}

function call(port: number, token: string, agent: Agent | undefined): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { port, path: '/v1/orders?page=1', agent, headers: { authorization: `Bearer ${token}` } }
    const asked = request(options, (response) => {
      response.resume()
      response.on('end', () => {
        const decision = response.headers['x-curfew-decision']
        resolve({
          status: response.statusCode ?? 0,
          decision: Array.isArray(decision) ? decision[0] : decision,
        })
      })
    })
    asked.on('error', reject)
    asked.end()
  })
}
