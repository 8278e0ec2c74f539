import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openRedisStore } from '../../../baseline/stores/redis-store.ts'
import { DECISIONS_MAP } from '../../../cli/build-enforcement.ts'
import { decisionLedger } from '../../../cli/ledgers.ts'
import { SharedMap } from '../../../cli/shared-map.ts'
import type { Decision } from '../../../core/decision.ts'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { GatewayAdapter } from '../../../enforcement/gateway.ts'
import { createHaproxyGateway } from '../../../enforcement/gateways/haproxy.ts'
import { KongGateway } from '../../../enforcement/gateways/kong.ts'
import type { LedgerEntry } from '../../../enforcement/ledger.ts'
import { Placement } from '../../../enforcement/placement.ts'
import type { DecisionView, Page } from '../../../engine/control-plane.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, runCurfew, startCurfew } from '../../services/curfew-process.ts'
import { sampleDecision } from '../../services/decision-ledger.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'
import { FakeKong } from '../../services/kong-fake.ts'
import { type RedisService, redisAvailable, startRedis } from '../../services/redis.ts'

const missing = haproxyMissing ?? ((await redisAvailable()) ? null : 'redis-server is not installed')
if (missing !== null) console.warn(`SKIPPED: ${missing}`)

const RULES = 500
/** Kong consumers that have a limit of their own, which a throttle of ours tightens and must give back. */
const LIMITED = 20
const TOKEN = 'panic-admin-token-0123456789'
const never = new AbortController().signal

const uuid = (name: string) => {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

describe.skipIf(missing !== null)('500 rules at HAProxy and 500 at Kong', () => {
  let compiled: CompiledProgram
  let folder: string
  let redis: RedisService
  let upstream: Server
  let haproxy: RunningHaproxy
  let kong: FakeKong
  let gateways: readonly GatewayAdapter[]
  let curfew: CurfewProcess | null = null
  let foreign: string

  beforeAll(async () => {
    compiled = await compileProgram()
    upstream = createServer((_, response) => response.end('{}'))
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-panic-'))
    redis = await startRedis()
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    haproxy = await startHaproxy({ logPort: 9, upstreamPort: address.port })
    kong = new FakeKong({ description: null })
    for (let i = 0; i < RULES; i++) kong.consumers.add(uuid(`consumer-${i}`))
    await kong.start()
    for (let i = 0; i < LIMITED; i++) {
      const consumer = { id: uuid(`consumer-${i}`) }
      const config = { minute: 60, policy: 'local', limit_by: 'consumer' }
      kong.plant({ id: uuid(`limit-${i}`), name: 'rate-limiting', consumer, config, tags: ['team-a'] })
    }
    kong.plant({ id: uuid('maintenance'), name: 'request-termination', config: { status_code: 503 } })
    await haproxy.command(`add map ${haproxy.mapFolder}/blocks.map ${'0'.repeat(64)} ops.by-hand`)
    const { socketPath, mapFolder } = haproxy
    gateways = [
      createHaproxyGateway({ name: 'edge', socketPath, mapFolder }),
      new KongGateway({ name: 'kong', adminUrl: kong.url }),
    ]
    foreign = await everything()
    await writeFile(join(folder, 'curfew.yaml'), configuration())
  })
  afterEach(async () => {
    curfew?.child.kill('SIGKILL')
    curfew = null
    await kong.stop()
    await haproxy.stop()
    await redis.stop()
    await rm(folder, { recursive: true, force: true })
  })
  afterAll(async () => {
    await new Promise((resolve) => upstream?.close(resolve))
    await compiled?.remove()
  })

  function configuration(): string {
    return `
identityKeyEnv: IDENTITY_KEY
store: { kind: redis, url: '${redis.url}' }
log: { kind: embedded, folder: '${join(folder, 'log')}' }
deadLetters: { kind: none }
defaultMode: enforce
enforcement:
  folder: '${join(folder, 'enforcement')}'
  gateways:
    - { name: edge, kind: haproxy, sockets: ['${haproxy.socketPath}'], mapFolder: '${haproxy.mapFolder}', onlyFor: [edge] }
    - { name: kong, kind: kong, adminUrl: '${kong.url.origin}', onlyFor: [kong] }
admin: { listen: '127.0.0.1:0', tokens: [{ name: test, role: admin, tokenEnv: ADMIN_TOKEN }] }
`
  }

  /** What both gateways hold, of whoever it is. */
  async function everything(): Promise<string> {
    const maps = await Promise.all(
      ['tokens', 'subjects', 'blocks', 'throttles'].map((map) =>
        haproxy.command(`show map ${haproxy.mapFolder}/${map}.map`),
      ),
    )
    return JSON.stringify([maps, kong.state()])
  }

  function entries(until: number, count = RULES): readonly LedgerEntry[] {
    const now = Date.now()
    const entryOf = (decision: Decision): LedgerEntry => ({
      decision,
      status: 'in-force',
      statusReason: null,
      issuedAt: now,
      until,
      approved: false,
      startedAt: ['edge', 'kong'],
      receipts: [],
    })
    return Array.from({ length: count }, (_, i) => i).flatMap((i) => {
      const sub: Principal = {
        kind: 'sub',
        id: JSON.stringify([haproxy.issuer, `user-${i}`]),
        label: `user-${i}`,
        verified: true,
      }
      const consumer: Principal = {
        kind: 'consumer',
        id: uuid(`consumer-${i}`),
        label: `c-${i}`,
        verified: true,
      }
      const block = { action: 'block', limit: null } as const
      const action = i < LIMITED ? {} : block
      const one = (id: string, principal: Principal, gateway: string, what: object) =>
        entryOf(
          sampleDecision({
            evidenceAt: now,
            id: `${id}_${i}`,
            incident: `inc_${id}_${i}`,
            principal,
            scope: { kind: 'principal', principal },
            gateway: { kind: gateway, id: gateway },
            ...what,
          }),
        )
      return [one('dec_h', sub, 'edge', block), one('dec_k', consumer, 'kong', action)]
    })
  }

  async function putAll(until: number): Promise<void> {
    for (const entry of entries(until)) {
      const gateway = gateways[entry.decision.gateway.id === 'edge' ? 0 : 1]!
      await gateway.put(new Placement([gateway]).rulesAt(gateway, entry)[0]!, never)
    }
  }

  async function standing(): Promise<readonly number[]> {
    return Promise.all(gateways.map(async (gateway) => (await gateway.list(never)).length))
  }

  async function status(sub: string): Promise<number> {
    const now = Math.floor(Date.now() / 1_000)
    const token = await new SignJWT({ iss: haproxy.issuer, sub, jti: sub, iat: now - 60, exp: now + 600 })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(haproxy.secret))
    const response = await fetch(`http://127.0.0.1:${haproxy.port}/`, {
      headers: { authorization: `Bearer ${token}` },
    })
    await response.text()
    return response.status
  }

  const program = (...args: readonly string[]) => ({
    program: compiled.file('cli/main.ts'),
    args,
    cwd: folder,
    env: { IDENTITY_KEY: 'i'.repeat(40), ADMIN_TOKEN: TOKEN },
    token: TOKEN,
  })
  const start = async () => {
    curfew = await startCurfew(program('run', '--config', 'curfew.yaml'))
    return curfew
  }
  const command = (...args: readonly string[]) => runCurfew(program(...args, '--config', 'curfew.yaml'))

  async function flush(): Promise<void> {
    const { createConnection } = await import('node:net')
    await new Promise<void>((resolve, reject) => {
      const socket = createConnection(redis.port, '127.0.0.1', () => socket.end('FLUSHALL\r\n'))
      socket.on('error', reject)
      socket.on('close', () => resolve())
      socket.resume()
    })
  }

  it('with the engine dead and Redis flushed, panic leaves none of ours and everything of others as it was', async () => {
    const { end } = await start()
    await end('SIGKILL')
    await putAll(Date.now() + 3_600_000)
    await flush()
    expect(await standing()).toEqual([RULES, RULES])
    expect(await status('user-7')).toBe(403)
    const started = Date.now()
    const { code, stdout } = await command('panic')
    const seconds = (Date.now() - started) / 1_000
    console.info(`panic: ${2 * RULES} rules lifted in ${seconds.toFixed(1)} s`)
    expect(stdout).toMatch(/edge +500 removed, none left/)
    expect(stdout).toMatch(/kong +500 removed, none left/)
    expect(code).toBe(0)
    expect(await standing()).toEqual([0, 0])
    expect(await everything()).toBe(foreign)
    expect(await status('user-7')).toBe(200)
    expect(seconds).toBeLessThan(60)
  })

  it('a running Curfew lifts nothing back while latched, also after a restart, and acts again once resumed', async () => {
    const store = await openRedisStore({ url: redis.url })
    const ledger = decisionLedger(await SharedMap.open(store, DECISIONS_MAP))
    const many = 100
    await Promise.all(entries(Date.now() + 3_600_000, many).map((entry) => ledger.save(entry)))
    await store.close()
    let running = await start()
    await eventually('every rule', async () =>
      (await standing()).join() === `${many},${many}` ? true : null,
    )

    const { code, stdout } = await command('panic')
    expect(stdout).toContain('a running Curfew has seen the latch and lifted what it held')
    expect(code).toBe(0)
    const { body } = await running.api('/v1/status')
    expect(JSON.stringify(body)).toContain('latched to observe')
    // Longer than a reconciler takes to look again after a change.
    await sleep(5_000)
    expect(await everything()).toBe(foreign)
    const { items } = (await running.api('/v1/decisions?limit=1')).body as Page<DecisionView>
    expect(items[0]).toMatchObject({ statusReason: expect.stringContaining('latched to observe') })

    expect(await running.end('SIGKILL')).toBe('SIGKILL')
    running = await start()
    await sleep(3_000)
    expect(await everything()).toBe(foreign)
    const resumed = await command('resume', '--reason', 'false alarm')
    expect([resumed.code, resumed.stdout]).toEqual([0, expect.stringContaining('Curfew acts again')])
    await eventually('the end of the latch', async () =>
      JSON.stringify((await running.api('/v1/status')).body).includes('as the settings say') ? true : null,
    )
    expect(await everything()).toBe(foreign)
    const { body: audit } = await running.api('/v1/audit?limit=100')
    expect(JSON.stringify(audit)).toContain('"reason":"false alarm"')
    expect(await running.end('SIGTERM')).toBe(0)
  })

  it('with the store away too, the latch on this machine holds', async () => {
    const running = await start()
    await sleep(3_000)
    redis.pause()
    const { code, stdout } = await command('panic')
    redis.resume()
    expect(stdout).toContain('Curfew is latched to observe')
    expect(stdout).toMatch(/store: cannot be used|a running Curfew has seen the latch/)
    expect(code).toBe(0)
    await eventually('the latch', async () =>
      JSON.stringify((await running.api('/v1/status')).body).includes('latched to observe') ? true : null,
    )
    expect(await running.end('SIGTERM')).toBe(0)
  })

  it('with sweep alone nobody is held longer than the expiry and the pause between two sweeps', async () => {
    const until = Date.now() + 20_000
    await putAll(wallTime(until))
    expect(await standing()).toEqual([RULES, RULES])
    await sleep(until - Date.now() + 100)
    // HAProxy compares the end with its own clock: free although the entry is still there.
    expect(await status('user-7')).toBe(200)
    const { code, stdout } = await command('sweep')
    console.info(
      `sweep: nothing of ours ${((Date.now() - until) / 1_000).toFixed(1)} s after the end of ${2 * RULES} rules`,
    )
    expect(stdout).toMatch(/kong +500 removed, none left/)
    expect(code).toBe(0)
    expect(await everything()).toBe(foreign)
    expect(Date.now() - until).toBeLessThan(60_000)
  })

  it('a store flushed under a running Curfew stops it; the next one observes until resumed and leaves what stands', async () => {
    const running = await start()
    await flush()
    const code = await new Promise((resolve) => running.child.once('exit', (status) => resolve(status)))
    expect(code).toBe(1)
    expect(running.stderr()).toContain('the state store was emptied while Curfew ran')
    const { signal } = new AbortController()
    const [entry] = entries(Date.now() + 3_600_000)
    await gateways[0]!.put(new Placement(gateways).rulesAt(gateways[0]!, entry!)[0]!, signal)
    const next = await start()
    await sleep(3_000)
    expect(JSON.stringify((await next.api('/v1/status')).body)).toContain('the loss of what was learnt')
    expect(await standing()).toEqual([1, 0])
    const resumed = await command('resume', '--reason', 'learnt anew')
    expect(resumed.code).toBe(0)
    await eventually('what nobody knows to go', async () =>
      (await standing()).join() === '0,0' ? true : null,
    )
    expect(await next.end('SIGTERM')).toBe(0)
  })
})
