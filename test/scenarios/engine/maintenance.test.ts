import { describe, expect, it } from 'vitest'
import type { Partition } from '../../../engine/partition.ts'
import type { EngineSettings, MaintenanceWindow } from '../../../engine/settings.ts'
import { StoredPartition } from '../../property/engine/stored-partition.ts'
import {
  burst,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MINUTE_MS,
  MONDAY,
  officeHabit,
  partition,
  play,
  routine,
  settingsFor,
} from './traffic.ts'

const orders = officeHabit('orders-svc')
const NIGHT = MONDAY + 14 * DAY_MS + 3 * HOUR_MS
const PARENT = 'org:acme'

const work = (changes: Partial<MaintenanceWindow> = {}): MaintenanceWindow => ({
  tenant: 'default',
  entity: 'consumer:orders-svc',
  from: new Date(NIGHT - HOUR_MS).toISOString(),
  to: new Date(NIGHT + 20 * MINUTE_MS).toISOString(),
  reason: 'migration to the new store',
  ...changes,
})

const learnt = inOrder(
  routine(orders, MONDAY, 14, 1),
  ...Array.from({ length: 10 }, (_, i) => routine(officeHabit(`svc-${i}`), MONDAY, 14, 40 + i)),
)
const theft = (from: number, minutes: number) =>
  burst(orders.principal, from, minutes * 30, 2_000, {
    records: 100,
    responseBytes: 40_000,
    parents: [PARENT],
  })

function withWork(...maintenance: readonly MaintenanceWindow[]): Partition {
  const engine = partition()
  play(engine, learnt)
  engine.configure({ ...settingsFor(), maintenance })
  return engine
}

const SEVERITIES = ['low', 'medium', 'high', 'critical']

describe('planned work', () => {
  it('keeps a caller from being acted on, and its export from nothing but one severity', () => {
    const plain = play(withWork(), theft(NIGHT, 10))
    const planned = play(withWork(work()), theft(NIGHT, 10))
    expect(plain.decisions.length).toBeGreaterThan(0)
    expect(planned.decisions).toEqual([])
    const worst = (told: typeof plain) =>
      Math.max(...told.alerts.map(({ severity }) => SEVERITIES.indexOf(severity)))
    expect(worst(plain)).toBe(3)
    expect(worst(planned)).toBe(2)
    expect(planned.alerts[0]!.transition).toBe('opened')
    expect(planned.alerts.at(-1)!.summary).toMatch(/; planned work until .*: migration to the new store$/)
    expect(planned.alerts.map(({ surprise }) => surprise)[0]).toBe(plain.alerts[0]!.surprise)
  })

  it('is over when it ends: who goes on is acted on, and the full severity is told', () => {
    const engine = withWork(work())
    play(engine, theft(NIGHT, 20))
    const { alerts, decisions } = play(engine, theft(NIGHT + 20 * MINUTE_MS, 5))
    expect(decisions[0]).toMatchObject({ mode: 'enforce' })
    expect(Date.parse(decisions[0]!.time)).toBeGreaterThanOrEqual(NIGHT + 20 * MINUTE_MS)
    expect(alerts[0]).toMatchObject({ transition: 'escalated', severity: 'critical' })
    expect(alerts[0]!.summary).not.toMatch(/planned work/)
  })

  it('lifts nothing that stands, but takes no further rung', () => {
    const engine = withWork(work({ from: new Date(NIGHT + 5 * MINUTE_MS).toISOString() }))
    expect(play(engine, theft(NIGHT, 5)).decisions.length).toBeGreaterThan(0)
    const refused = burst(orders.principal, NIGHT + 6 * MINUTE_MS, 60, 1_000, {
      refusedBy: 'curfew',
      status: 429,
    })
    expect(play(engine, refused).decisions).toEqual([])
  })

  it.each([
    ['of another caller', { entity: 'consumer:svc-1' }, 1],
    ['of another tenant', { tenant: 'globex' }, 1],
    ['that is over', { to: new Date(NIGHT - 1).toISOString() }, 1],
    ['that has not begun', { from: new Date(NIGHT + HOUR_MS).toISOString(), to: '2027-01-01T00:00:00Z' }, 1],
  ])('%s changes nothing', (_, changes, least) => {
    const told = play(withWork(work(changes)), theft(NIGHT, 10))
    expect(told.decisions.length).toBeGreaterThanOrEqual(least)
    expect(told.alerts.at(-1)!.severity).toBe('critical')
  })

  it('may be that of a group', () => {
    const { entity: _, ...rest } = work()
    expect(play(withWork({ ...rest, group: PARENT }), theft(NIGHT, 10)).decisions).toEqual([])
    expect(play(withWork({ ...rest, group: 'org:other' }), theft(NIGHT, 10)).decisions).not.toEqual([])
  })

  it('is part of the control list: a restart in the middle of it changes nothing', () => {
    const settings: EngineSettings = { ...settingsFor(), version: 2, maintenance: [work()] }
    const calls = (events: typeof learnt) => events.map((event) => ({ kind: 'event' as const, event }))
    const night = theft(NIGHT, 30)
    const run = (cut: number) => {
      let owned = StoredPartition.open(new Map(), {})
      owned.live(calls(learnt), [])
      owned.control({ kind: 'settings', settings })
      const outputs = owned.live(calls(night.slice(0, cut)), [])
      owned.checkpoint()
      owned = StoredPartition.open(owned.stored, {})
      return [...outputs, ...owned.live(calls(night.slice(cut)), [])]
    }
    expect(run(200)).toEqual(run(700))
    expect(run(200).some(({ kind }) => kind === 'decision')).toBe(true)
  })
})
