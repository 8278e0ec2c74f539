import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { requireConfig } from '../../../cli/config/file.ts'
import { callerNamed } from '../../../cli/demo/callers.ts'
import { demoLogPath } from '../../../cli/demo/demo.ts'
import { claimsAt, demoHistory, NIGHT } from '../../../cli/demo/history.ts'
import { kongLine } from '../../../cli/demo/kong-line.ts'
import { shiftedClock } from '../../../cli/demo/shifted-clock.ts'
import { runCommandLine } from '../../../cli/dispatch.ts'
import { Service } from '../../../cli/service.ts'
import { type Clock, HOUR_MS, wallTime } from '../../../core/time.ts'

let folder: string
let config: string
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
const morning = shiftedClock({ now: () => wallTime(Date.now()) }, NIGHT + HOUR_MS)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-backfill-'))
  config = join(folder, 'curfew.yaml')
  const source = (name: string, token: string) => ({
    kind: 'http',
    name,
    format: 'kong',
    listen: '127.0.0.1:0',
    tokenEnv: token,
    gateway: { kind: 'kong', id: 'edge' },
  })
  const settings = {
    store: { kind: 'embedded', folder: join(folder, 'state') },
    log: { kind: 'embedded', folder: join(folder, 'log') },
    deadLetters: { kind: 'file', folder: join(folder, 'dead') },
    sources: [source('edge', 'EDGE_TOKEN')],
    defaultMode: 'enforce',
    enforcement: { folder: join(folder, 'enforcement'), gateways: [{ kind: 'decision', name: 'ours' }] },
    decisionEndpoint: {
      listen: '127.0.0.1:0',
      keys: [{ kind: 'hs', alg: 'HS256', secretEnv: 'EDGE_TOKEN' }],
    },
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'tester', role: 'viewer', sha256: 'ab'.repeat(32) }] },
  }
  writeFileSync(config, JSON.stringify(settings))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const ENV = { EDGE_TOKEN: 'a token of the edge gateway, with 32 characters' }

/** Runs `curfew backfill` and returns its exit code and what it wrote. */
async function backfill(
  clock: Clock,
  ...words: string[]
): Promise<{ code: number; out: string; err: string }> {
  const written = { out: '', err: '' }
  const into = (key: 'out' | 'err') =>
    new Writable({
      write: (chunk, _encoding, done) => {
        written[key] += String(chunk)
        done()
      },
    })
  const io = {
    stdin: Readable.from([]),
    stdout: into('out'),
    stderr: into('err'),
    env: ENV,
    clock,
    isTerminal: false,
  }
  const code = await runCommandLine(['backfill', '--config', config, ...words], io)
  return { code, ...written }
}

async function service(clock: Clock): Promise<Service> {
  const loaded = requireConfig(config, ENV, () => undefined)
  return Service.start({
    config: loaded,
    role: 'all',
    clock,
    random: () => 0.5,
    logger: silent,
    stdin: Readable.from([]),
  })
}

/** Lines of the export with the stolen token. */
function exportLines(): readonly string[] {
  const caller = callerNamed('orders-svc')
  return Array.from({ length: 60 }, (_, i) =>
    kongLine({
      requestId: `export${i}`,
      startedAt: NIGHT + i * 100,
      method: 'GET',
      uri: `/v1/orders?page=${i + 1}&size=25`,
      status: 200,
      requestBytes: 440,
      responseBytes: 4_500,
      requestMs: 20,
      proxyMs: 18,
      records: 25,
      clientIp: caller.clientIp,
      userAgent: caller.userAgent,
      identity: { caller, claims: claimsAt('orders-svc', NIGHT) },
      decision: null,
    }),
  )
}

describe('curfew backfill', () => {
  it('teaches who calls how, and never acts on what is old', async () => {
    const night = join(folder, 'night.log')
    writeFileSync(night, `${exportLines().join('\n')}\nnot a log line\n`)
    const done = await backfill(morning, demoLogPath(), night)
    expect(done).toMatchObject({ code: 0, err: '' })
    const events = demoHistory().length + 60
    expect(JSON.parse(done.out)).toMatchObject({ lines: events + 1, events, rejected: 1, tooRecent: 0 })

    const running = await service(morning)
    try {
      const lastSeen = async () =>
        (await running.controlPlane!.principal('default', 'consumer:orders-svc'))?.lastSeen
      const end = new Date(NIGHT + 59 * 100 + 20).toISOString()
      for (let waited = 0; waited < 200 && (await lastSeen()) !== end; waited++) await sleep(100)
      const view = await running.controlPlane!.principal('default', 'consumer:orders-svc')
      expect(view).toMatchObject({ state: 'MATURE', lastSeen: end })
      const { items } = await running.controlPlane!.decisions({ limit: 10 })
      expect(items.length).toBeGreaterThan(0)
      for (const { status, issuedAt, receipts } of items) {
        expect({ status, issuedAt, receipts }).toEqual({ status: 'withheld', issuedAt: null, receipts: [] })
      }
    } finally {
      await running.stop()
    }
  })

  it('leaves out calls that are young enough to be acted on', async () => {
    const night = join(folder, 'night.log')
    writeFileSync(night, exportLines().join('\n'))
    const soon: Clock = { now: () => wallTime(NIGHT + 60_000) }
    const { code, out } = await backfill(soon, night)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual({
      lines: 60,
      events: 0,
      rejected: 0,
      tooRecent: 60,
      from: null,
      to: null,
    })
  })

  it('refuses while Curfew runs on the same folder', async () => {
    const running = await service(morning)
    try {
      const { code, err } = await backfill(morning, demoLogPath())
      expect(code).toBe(2)
      expect(err).toMatch(/^curfew: stop the running Curfew before a backfill: .*in use/)
    } finally {
      await running.stop()
    }
  })

  it('says which sources there are when the named one is not', async () => {
    const { code, err } = await backfill(morning, '--source', 'edgy', demoLogPath())
    expect(code).toBe(2)
    expect(err).toContain('--source edgy is not in the configuration; there are: edge')
  })

  it('names a file that cannot be read', async () => {
    const { code, err } = await backfill(morning, join(folder, 'nowhere.log'))
    expect(code).toBe(2)
    expect(err).toContain('ENOENT')
  })
})
