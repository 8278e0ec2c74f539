import { describe, expect, it } from 'vitest'
import type { OnTimeout } from '../../../core/decision.ts'
import { eventTime } from '../../../core/time.ts'
import { approved, released } from '../../../engine/hold-changes.ts'
import { StoredPartition } from '../../property/engine/stored-partition.ts'
import {
  burst,
  DAY_MS,
  drain,
  HOUR_MS,
  inOrder,
  MINUTE_MS,
  MONDAY,
  officeHabit,
  partition,
  play,
  routine,
  type Told,
} from './traffic.ts'

const orders = officeHabit('orders-svc')
const NIGHT = MONDAY + 14 * DAY_MS + 3 * HOUR_MS
const WAIT_SECONDS = 900

const options = (onTimeout?: OnTimeout) => ({
  modes: [{ mode: 'approve' as const, ...(onTimeout === undefined ? {} : { onTimeout }) }],
  values: { approvalSeconds: WAIT_SECONDS },
})

const theft = (from: number, minutes: number) =>
  burst(orders.principal, from, minutes * 6, 10_000, { records: 100, responseBytes: 40_000 })

/** A caller whose first request for approval was just made, and when that was. */
function asked(onTimeout?: OnTimeout) {
  const engine = partition(options(onTimeout))
  const told = play(engine, [...routine(orders, MONDAY, 14, 1), ...theft(NIGHT, 10)])
  const [request] = told.decisions
  return { engine, told, request: request!, due: Date.parse(request!.approval!.by) }
}

const ofIncident = (engine: ReturnType<typeof partition>, told: Told) =>
  engine.book.ofId(told.decisions[0]!.incident)!

describe('a decision that waits for a person', () => {
  it('states until when, in event time, and is one: nothing further is asked while it waits', () => {
    const { engine, told, request, due } = asked()
    expect(told.decisions).toHaveLength(1)
    expect(request).toMatchObject({ mode: 'approve', approval: { onTimeout: 'drop', because: null } })
    expect(due).toBe(Date.parse(request.time) + WAIT_SECONDS * 1_000)
    expect(play(engine, theft(NIGHT + 10 * MINUTE_MS, 4)).decisions).toEqual([])
  })

  it('is dropped when nobody agreed in time, dated by when that was due', () => {
    const { engine, request, due } = asked()
    engine.tick(due - 1)
    expect(drain(engine).approvals).toEqual([])
    engine.tick(due + 5 * MINUTE_MS)
    const { approvals, decisions } = drain(engine)
    expect(approvals).toEqual([
      expect.objectContaining({ decision: request.id, outcome: 'drop', at: due, by: null }),
    ])
    expect(decisions).toEqual([])
  })

  it('is asked for again after it was dropped only when as much happens anew', () => {
    const { engine, due } = asked()
    engine.tick(due)
    drain(engine)
    const again = play(engine, theft(due + MINUTE_MS, 10)).decisions
    expect(again.map(({ mode }) => mode)).toEqual(['approve'])
  })

  it('is carried out when that is what silence means, on the evidence of then', () => {
    const { engine, told, request, due } = asked('act')
    const later = play(engine, theft(NIGHT + 10 * MINUTE_MS, 20))
    expect(later.approvals).toEqual([
      expect.objectContaining({ decision: request.id, outcome: 'act', at: due, by: null }),
    ])
    expect(due - later.approvals[0]!.evidenceAt).toBeLessThan(MINUTE_MS)
    const [issued] = ofIncident(engine, told).issued
    expect(issued).toMatchObject({ mode: 'enforce', at: due, holdUntil: due + HOUR_MS })
  })

  it('is asked for anew for as long as the incident goes on, once however far time moves', () => {
    const { engine, told, due } = asked('extend')
    engine.tick(due + WAIT_SECONDS * 1_500)
    const { approvals } = drain(engine)
    expect(approvals.map(({ outcome, by }) => [outcome, by])).toEqual([
      ['extend', due + WAIT_SECONDS * 2_000],
    ])
    expect(ofIncident(engine, told).issued).toHaveLength(1)
    engine.tick(due + DAY_MS)
    const rest = drain(engine)
    expect(rest.approvals.at(-1)).toMatchObject({ outcome: 'drop', by: null })
    expect(rest.alerts.map(({ transition }) => transition)).toEqual(['resolved'])
  })

  it('holds from when a person agreed, and the ladder goes on from there', () => {
    const { engine, told, request } = asked()
    const until = NIGHT + 2 * HOUR_MS
    expect(approved(engine, request.incident, request.id, until)).toBe(true)
    expect(ofIncident(engine, told).issued[0]).toMatchObject({ mode: 'enforce', holdUntil: until })
    engine.tick(NIGHT + HOUR_MS)
    expect(drain(engine).approvals).toEqual([])
    const refused = burst(orders.principal, NIGHT + 11 * MINUTE_MS, 30, 2_000, {
      refusedBy: 'curfew',
      status: 429,
    })
    const next = play(engine, refused).decisions
    expect(next.map(({ mode }) => mode)).toEqual(['approve'])
    expect(next[0]!.action).not.toBe('throttle')
  })

  it('no longer waits once a person said no', () => {
    const { engine, request, due } = asked('act')
    released(engine, request.incident, request.id)
    engine.tick(due + MINUTE_MS)
    expect(drain(engine).approvals).toEqual([])
  })

  it('comes out the same whether the partition was restarted in between or not', () => {
    const events = [...routine(orders, MONDAY, 14, 1), ...theft(NIGHT, 30)]
    const life = events.map((event) => ({ kind: 'event' as const, event }))
    const whole = StoredPartition.open(new Map(), options('act'))
    const outputs = whole.live(life, [])
    expect(outputs.some(({ kind }) => kind === 'approval')).toBe(true)
    const cut = life.findIndex(({ event }) => event.time >= eventTime(NIGHT + 12 * MINUTE_MS))
    const first = StoredPartition.open(new Map(), options('act'))
    const before = first.live(life.slice(0, cut), [])
    first.checkpoint()
    const second = StoredPartition.open(first.stored, options('act'))
    expect([...before, ...second.live(life.slice(cut), [])]).toEqual(outputs)
  })
})

describe('a caller whose name another one has', () => {
  it('is never acted on by silence', () => {
    const engine = partition({
      modes: [{ mode: 'approve', onTimeout: 'act' }],
      values: { approvalSeconds: WAIT_SECONDS },
    })
    const twin = { ...orders, principal: { ...orders.principal, id: 'id-of-another' } }
    play(engine, inOrder(routine(twin, MONDAY, 14, 2), routine(orders, MONDAY, 14, 1)))
    const { decisions } = play(engine, theft(NIGHT, 30))
    expect(decisions[0]).toMatchObject({ mode: 'approve', approval: { onTimeout: 'drop' } })
    expect(decisions[0]!.approval!.because).toMatch(/share the name/)
  })
})
