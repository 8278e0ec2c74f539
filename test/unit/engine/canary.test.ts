import { describe, expect, it } from 'vitest'
import { CANARY_NAME, isCanary } from '../../../core/canary.ts'
import type { Output } from '../../../engine/incident-book.ts'
import type { Partition } from '../../../engine/partition.ts'
import { subjectPrincipal } from '../../../ingest/principal-name.ts'
import {
  burst,
  consumer,
  DAY_MS,
  HOUR_MS,
  MONDAY,
  officeHabit,
  partition,
  routine,
} from '../../scenarios/engine/traffic.ts'

const CANARY = consumer(CANARY_NAME)
const NIGHT = MONDAY + 27 * DAY_MS + 3 * HOUR_MS
const others = ['orders', 'billing', 'reports'].map((name, i) =>
  routine(officeHabit(name), MONDAY, 26, i + 1),
)
const thief = burst(officeHabit('orders').principal, NIGHT + 1_000, 300, 1_000, { records: 50 })
/** A drill each night, of 40 calls of 25 records. */
const drills = Array.from({ length: 26 }, (_, day) =>
  burst(CANARY, MONDAY + day * DAY_MS + 2 * HOUR_MS, 40, 50, { records: 25 }),
)

const TICK_MS = 600_000

function play(calls: readonly (typeof thief)[]) {
  const engine = partition({ modes: [{ mode: 'enforce' }] })
  const outputs: Output[] = []
  const scores: (number | null)[] = []
  const sorted = calls.flat().sort((a, b) => a.time - b.time)
  let ticked = 0
  for (const event of sorted) {
    // Time passes by itself, as it does live, whether anybody calls or not.
    for (ticked ||= MONDAY - TICK_MS; ticked + TICK_MS <= event.time; ticked += TICK_MS)
      engine.tick(ticked + TICK_MS)
    const { surprise } = engine.step(event)
    if (!isCanary(event.principal)) scores.push(surprise)
    outputs.push(...engine.book.outputs.splice(0))
  }
  return { engine, outputs, scores }
}

const about = (outputs: readonly Output[], canary: boolean) =>
  outputs.filter((output) => JSON.stringify(output).includes(CANARY_NAME) === canary)

const sumsOf = ({ knowledge }: Partition) =>
  JSON.stringify(knowledge.sums, (_, v) => (ArrayBuffer.isView(v) ? [...(v as Float64Array)] : v))

describe('the canary of the drill', () => {
  it('is only who the gateway verified by that name', () => {
    expect(isCanary(CANARY)).toBe(true)
    const issuers = new Map([['https://idp.test', 'idp']])
    const rule = { order: [], issuers: issuers.set('https://partner.test', 'partner') }
    const named = (iss: string | null, sub: string) => isCanary(subjectPrincipal(iss, sub, rule))
    expect(named('https://idp.test', CANARY_NAME)).toBe(true)
    expect(named('https://partner.test', CANARY_NAME)).toBe(true)
    expect(named('https://else.test', CANARY_NAME)).toBe(false)
    expect(named('idp', CANARY_NAME)).toBe(false)
    expect(named(null, `idp/${CANARY_NAME}`)).toBe(false)
    expect(named('https://idp.test', `x/${CANARY_NAME}`)).toBe(false)
    expect(named('https://idp.test', `x","${CANARY_NAME}`)).toBe(false)
    expect(
      isCanary(subjectPrincipal('https://idp.test', `idp/${CANARY_NAME}`, { ...rule, issuers: new Map() })),
    ).toBe(false)
    expect(isCanary({ ...CANARY, label: `idp/${CANARY_NAME}` })).toBe(false)
    expect(isCanary({ ...CANARY, verified: false })).toBe(false)
    expect(isCanary({ ...CANARY, kind: 'ip' })).toBe(false)
    expect(isCanary({ ...CANARY, label: `not-${CANARY_NAME}` })).toBe(false)
    expect(isCanary({ ...CANARY, label: `${CANARY_NAME}-2` })).toBe(false)
  })

  it('is throttled after a few calls, and never revoked however often it drills', { timeout: 60_000 }, () => {
    const { outputs } = play([...others, ...drills])
    const decided = about(outputs, true).flatMap((o) => (o.kind === 'decision' ? [o.decision.action] : []))
    expect(decided.length).toBeGreaterThanOrEqual(drills.length)
    expect(new Set(decided.filter((action) => action !== 'release'))).toEqual(new Set(['throttle']))
  })

  it('says why in words', () => {
    const { outputs } = play([drills[0]!])
    const [opened] = outputs.flatMap((o) => (o.kind === 'alert' ? [o.alert] : []))
    expect(opened?.summary).toContain('a drill, or somebody who uses the drill')
    expect(opened?.reasons).toHaveLength(1)
  })

  it('changes no score, incident, decision or sum of anybody else', { timeout: 60_000 }, () => {
    const alone = play([...others, thief])
    const drilled = play([...others, thief, ...drills])
    expect(drilled.scores).toEqual(alone.scores)
    expect(about(alone.outputs, false).length).toBeGreaterThan(0)
    expect(about(drilled.outputs, false)).toEqual(about(alone.outputs, false))
    expect(sumsOf(drilled.engine)).toBe(sumsOf(alone.engine))
  })
})
