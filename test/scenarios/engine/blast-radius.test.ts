import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { StoredPartition } from '../../property/engine/stored-partition.ts'
import {
  burst,
  DAY_MS,
  EVERY_DAY,
  type Habit,
  HOUR_MS,
  inOrder,
  MINUTE_MS,
  MONDAY,
  officeHabit,
  partition,
  play,
  routine,
} from './traffic.ts'

const DAYS = 10
const NOON = MONDAY + DAYS * DAY_MS + 10 * HOUR_MS
const ALL_DAY = Array.from({ length: 24 }, (_, hour) => hour)
const caller = (name: string, callsPerHour: number): Habit => ({
  ...officeHabit(name),
  hours: ALL_DAY,
  weekdays: EVERY_DAY,
  callsPerHour,
  recordsPerCall: 10,
})

const big = caller('storefront', 36)
/** Twenty others, who make 70 % of the calls together. */
const others = Array.from({ length: 20 }, (_, i) => routine(caller(`svc-${i}`, 4.2), MONDAY, DAYS, 50 + i))
const calm = inOrder(routine(big, MONDAY, DAYS, 1), ...others)
/** Ten times as many calls as usual, for three quarters of an hour. */
const tenfold = (habit: Habit): AccessEvent[] =>
  burst(
    habit.principal,
    NOON,
    Math.round(habit.callsPerHour * 7.5),
    (45 * MINUTE_MS) / (habit.callsPerHour * 7.5),
    {
      records: 40,
      responseBytes: 16_000,
    },
  )

describe('a caller that makes 30 % of the calls of a gateway goes tenfold', () => {
  it('is acted on by nobody but a person, who is asked exactly once', () => {
    const engine = partition()
    play(engine, calm)
    const { alerts, decisions } = play(engine, tenfold(big))
    expect(alerts[0]).toMatchObject({ transition: 'opened', entity: { id: 'consumer:storefront' } })
    expect(decisions.map(({ mode }) => mode)).toEqual(['approve'])
    const [{ blast, approval }] = decisions as [(typeof decisions)[0]]
    expect(blast!.share).toBeGreaterThan(0.25)
    expect(blast!.share).toBeLessThan(0.35)
    expect(blast).toMatchObject({ subjects: 0, tokens: 0, addresses: 1 })
    expect(approval!.because).toMatch(/^the caller makes \d\d % of the calls of gateway edge \(bound 1 %\)$/)
  })

  it('is acted on where the bound is higher', () => {
    const engine = partition({ values: { maxTrafficShare: 0.5 } })
    play(engine, calm)
    const [decision] = play(engine, tenfold(big)).decisions
    expect(decision).toMatchObject({ mode: 'enforce' })
    expect(decision).not.toHaveProperty('approval')
  })

  it('is only observed where nothing else is allowed', () => {
    const engine = partition({ mode: 'observe' })
    play(engine, calm)
    const { decisions } = play(engine, tenfold(big))
    expect(decisions.length).toBeGreaterThan(0)
    expect(decisions.every(({ mode }) => mode === 'observe')).toBe(true)
  })

  it('comes out the same after a restart in between', () => {
    const life = [...calm, ...tenfold(big)].map((event) => ({ kind: 'event' as const, event }))
    const whole = StoredPartition.open(new Map(), {}).live(life, [])
    const first = StoredPartition.open(new Map(), {})
    const before = first.live(life.slice(0, calm.length - 40), [])
    first.checkpoint()
    const rest = StoredPartition.open(first.stored, {}).live(life.slice(calm.length - 40), [])
    expect([...before, ...rest]).toEqual(whole)
    expect(whole.some((o) => o.kind === 'decision' && o.decision.mode === 'approve')).toBe(true)
  })
})

describe('a small caller', () => {
  it('cannot make itself too large to be acted on by calling a lot', () => {
    const engine = partition()
    play(engine, calm)
    const small = officeHabit('svc-3')
    const flood = burst(small.principal, NOON, 20_000, 50, { records: 40, responseBytes: 16_000 })
    const { decisions } = play(engine, flood)
    expect(decisions[0]).toMatchObject({ mode: 'enforce' })
  })

  it('is acted on although it makes all of the calls of an idle gateway', () => {
    const engine = partition()
    const lone = officeHabit('lone')
    play(engine, routine(lone, MONDAY, DAYS, 3))
    const { decisions } = play(
      engine,
      burst(lone.principal, NOON, 60, 5_000, { records: 100, responseBytes: 40_000 }),
    )
    expect(decisions[0]).toMatchObject({ mode: 'enforce' })
    expect(decisions[0]!.blast!.share).toBeGreaterThan(0.5)
  })
})
