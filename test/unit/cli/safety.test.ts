import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { openAuditLog } from '../../../cli/audit-log.ts'
import { openLog } from '../../../cli/build-storage.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import { Safety } from '../../../cli/safety.ts'
import { CurfewError } from '../../../core/errors.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { wallTime } from '../../../core/time.ts'
import { createEnforcer } from '../../../enforcement/enforcer.ts'
import { eventually, MemoryLedger, quietLogger } from '../../services/decision-ledger.ts'

const clock = { now: () => wallTime(Date.now()) }
let folder: string
const closing: (() => Promise<void>)[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-safety-'))
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await rm(folder, { recursive: true, force: true })
})

/** Starts over one folder of latches and log with a store that may be another one each time. */
async function start(state: string) {
  const loaded = loadConfig(
    JSON.stringify({
      store: { kind: 'embedded', folder: join(folder, state) },
      log: { kind: 'embedded', folder: join(folder, 'log') },
      enforcement: { folder: join(folder, 'enforcement') },
    }),
    { env: () => undefined, file: () => '' },
  )
  if (!loaded.ok) throw new Error(loaded.problems.map(({ message }) => message).join())
  const { config } = loaded
  const real = await openEmbeddedStore({ folder: join(folder, state) })
  const opened = await openLog(config, quietLogger)
  let fault: CurfewError | null = null
  let forgotten = false
  const store: StateStore = new Proxy(real, {
    get: (target, name) => {
      if (name === 'check' && fault !== null) return () => Promise.reject(fault)
      if (name === 'getDocument' && forgotten) return async () => ({ version: 0, body: '' })
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
  const audit = await openAuditLog({ store, writer: 'admin', clock })
  const safety = await Safety.open({ config, store, opened, clock, logger: quietLogger, audit })
  const enforcer = createEnforcer({
    gateways: [],
    ledger: new MemoryLedger(),
    clock,
    random: () => 0.5,
    logger: quietLogger,
    isAllowed: () => null,
  })
  await enforcer.load()
  const alerts: AlertRecord[] = []
  const failures: CurfewError[] = []
  const stop = new AbortController()
  const watching = safety.watch(
    {
      enforcer,
      alert: async (alert) => void alerts.push(alert),
      fail: (error) => void failures.push(error),
    },
    stop.signal,
  )
  const close = async () => {
    stop.abort()
    await watching
    await opened.close()
    await real.close()
  }
  const may = {
    evict: () => {
      fault = new CurfewError('STORE_MAY_EVICT', 'maxmemory-policy is allkeys-lru')
    },
    forget: () => {
      forgotten = true
    },
  }
  return { safety, opened, alerts, failures, close, may }
}

describe('the store of a running Curfew', { timeout: 60_000 }, () => {
  it('that may evict from now on is told once', async () => {
    const { alerts, close, may, safety } = await start('state')
    closing.push(close)
    may.evict()
    await eventuallySlow(() => alerts.length > 0)
    expect(alerts[0]).toMatchObject({
      severity: 'critical',
      detectors: ['curfew'],
      summary: 'The state is not safe: maxmemory-policy is allkeys-lru.',
    })
    expect(safety.latched()).toBeNull()
  })

  it('that forgets the installation latches, and ends the process', async () => {
    const { failures, close, may, safety } = await start('state')
    closing.push(close)
    may.forget()
    await eventuallySlow(() => failures.length > 0)
    expect(failures[0]).toMatchObject({ code: 'STORE_CORRUPT' })
    expect(safety.latched()).toMatch(/^latched to observe since .* by the loss of what was learnt/)
    expect(safety.keepsUnknownRules()).toBe(true)
  })
})

describe('a start', () => {
  it('over nothing is a first start, and over the same store an ordinary one', async () => {
    for (let i = 0; i < 2; i++) {
      const { safety, close } = await start('state')
      expect(safety.latched()).toBeNull()
      await close()
    }
  })

  it('over another, empty store observes, and tells why once', async () => {
    await (await start('state')).close()
    const { safety, alerts, close } = await start('other')
    closing.push(close)
    expect(safety.latched()).toContain('installation.json names an installation')
    await eventually(() => alerts.length === 1, 'the alert')
    expect(alerts[0]?.summary).toContain('latched to observe')
  })

  it('over a journal that was filled before the first start, as backfill does, is a first start', async () => {
    const { opened, close } = await start('state')
    const bytes = Buffer.from('{}')
    await opened.log.append([{ partition: 0, source: 's', bytes, receivedAt: Date.now() }])
    await close()
    await rm(join(folder, 'enforcement'), { recursive: true })
    const other = await start('other')
    closing.push(other.close)
    expect(other.safety.latched()).toBeNull()
  })
})

async function eventuallySlow(done: () => boolean): Promise<void> {
  for (let i = 0; i < 600 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 50))
  expect(done()).toBe(true)
}
