import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { CoverageMonitor, type CoverageReport } from '../../../cli/coverage-monitor.ts'
import { JudgingProgress } from '../../../cli/judging-progress.ts'
import { FIRST_SHARED_PARTITION, SharedMap } from '../../../cli/shared-map.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { DAY_MS, wallTime } from '../../../core/time.ts'
import { SLOT_MS } from '../../../engine/coverage/slots.ts'

const START = Date.UTC(2026, 8, 7)
const MAP = 3
let folder: string
let store: StateStore
let now: number
let told: AlertRecord[]
let failing: boolean

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-monitor-'))
  store = await openEmbeddedStore({ folder })
  now = START
  told = []
  failing = false
})
afterEach(async () => {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

async function open(slotMs = SLOT_MS): Promise<CoverageMonitor> {
  return CoverageMonitor.open({
    map: await SharedMap.open(store, MAP),
    sources: [{ name: 'edge', tenant: 'default', maxSilenceMs: 120_000 }],
    tenant: 'default',
    slotMs,
    clock: { now: () => wallTime(now) },
    tell: async (alert) => {
      if (failing) throw new Error('the dispatcher is down')
      told.push(alert)
    },
  })
}

function report(lines: boolean, changes: Partial<CoverageReport> = {}): CoverageReport {
  const slot = Math.floor(now / SLOT_MS) - 1
  const counts = lines ? [{ source: 'edge', gateway: 'a', slot, counts: [5, 5, 5, 5, 5] }] : []
  return { writer: 'w', time: now, gap: null, lagMs: 0, frontiers: {}, slotMs: SLOT_MS, counts, ...changes }
}

async function run(monitor: CoverageMonitor, seconds: number, lines: boolean): Promise<void> {
  for (const end = now + seconds * 1_000; now < end; ) {
    now += SLOT_MS
    monitor.take(report(lines))
    await monitor.tick()
  }
}

const words = () => told.map(({ entity, transition }) => `${entity.id} ${transition}`)

describe('the coverage monitor', () => {
  it('tells once over a restart, also when the dispatcher was down as it happened', async () => {
    const before = await open()
    await run(before, 120, true)
    failing = true
    for (let i = 0; i < 20; i++) {
      now += SLOT_MS
      before.take(report(false))
      await before.tick().catch(() => undefined)
    }
    expect(told).toEqual([])
    failing = false
    const after = await open()
    await run(after, 120, false)
    expect(words()).toEqual(['edge/a opened'])
    await run(after, 120, true)
    expect(words()).toEqual(['edge/a opened', 'edge/a resolved'])
    expect(new Set(told.map(({ incident }) => incident)).size).toBe(1)
  })

  it('says that it was not running, and does not blame the source for that time', async () => {
    const before = await open()
    await run(before, 120, true)
    now += 600_000
    const after = await open()
    await run(after, 120, true)
    expect(words()).toEqual(['curfew opened', 'curfew resolved'])
    expect(told[0]!.summary).toContain('Curfew was blind for 6')
    await before.close().catch(() => undefined)
  })

  it('waits for a reader that is catching up instead of taking its backlog for silence', async () => {
    const monitor = await open()
    await run(monitor, 120, true)
    for (let i = 0; i < 60; i++) {
      now += SLOT_MS
      monitor.take(report(false, { frontiers: { edge: START + 120_000 } }))
      await monitor.tick()
    }
    expect(words()).toEqual([])
  })

  it('takes reports of other processes from the store, each once', async () => {
    const monitor = await open()
    const ask = (id: string) =>
      store.request(FIRST_SHARED_PARTITION + MAP, {
        id,
        kind: 'coverage',
        body: JSON.stringify(report(true)),
      })
    now += 60_000
    await ask('r1')
    await monitor.tick()
    await ask('r2')
    await monitor.tick()
    await run(monitor, 60, false)
    expect(monitor.view().feeds.find(({ gateway }) => gateway === 'a')?.linesIn5Minutes).toBe(10)
  })
})

describe('a coverage monitor with slots of another length', () => {
  it('begins anew after a change, with no incident left open', async () => {
    const before = await open()
    await run(before, 120, true)
    await run(before, 240, false)
    expect(before.view().incidents).toMatchObject([{ state: 'open' }])
    await before.close()
    const after = await open(SLOT_MS / 5)
    expect(after.view()).toMatchObject({ judgedTo: null, incidents: [] })
    expect(after.view().feeds.filter(({ gateway }) => gateway !== null)).toEqual([])
    await after.close()
    const same = await open(SLOT_MS / 5)
    expect(same.view().judgedTo).toBeNull()
  })

  it('takes no counts of a process that still has the old ones', async () => {
    const monitor = await open(SLOT_MS / 5)
    await run(monitor, 60, true)
    expect(monitor.view().feeds.filter(({ gateway }) => gateway !== null)).toEqual([])
  })
})

describe('how far judging is behind', () => {
  it('is the age of what is judged, and grows while nothing is asked', async () => {
    const progress = new JudgingProgress({ now: () => wallTime(now) })
    const owner = progress.watch({
      assigned: async () => 0,
      records: async () => undefined,
      revoked: async () => undefined,
    })
    await owner.assigned(0)
    const record = { offset: 0, receivedAt: now - 90_000, source: 'edge', bytes: new Uint8Array() }
    await owner.records(0, [record], false)
    expect(progress.takeLag()).toBe(90_000)
    await owner.records(0, [], true)
    expect(progress.takeLag()).toBe(0)
    now += 70_000
    expect(progress.takeLag()).toBe(70_000)
    await owner.revoked(0)
    expect(progress.takeLag()).toBe(0)
  })

  it('names the sources that are read late, and none that is up to date', () => {
    const progress = new JudgingProgress({ now: () => wallTime(now) })
    progress.read('old', 'topic', 0, now - DAY_MS)
    progress.read('old', 'topic', 1, now)
    progress.read('new', 'topic', 0, now - 1_000)
    expect(progress.frontiers()).toEqual({ old: now - DAY_MS })
    progress.read('old', 'topic', 0, now)
    expect(progress.frontiers()).toEqual({})
  })
})
