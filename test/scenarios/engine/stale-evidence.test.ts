import { afterEach, describe, expect, it } from 'vitest'
import type { Decision } from '../../../core/decision.ts'
import type { AccessEvent, Principal } from '../../../core/event.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { createEnforcer, type Enforcer } from '../../../enforcement/enforcer.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { released } from '../../../engine/hold-changes.ts'
import type { Partition } from '../../../engine/partition.ts'
import { eventually, HandClock, MemoryLedger, quietLogger } from '../../services/decision-ledger.ts'
import {
  burst,
  consumer,
  DAY_MS,
  drain,
  HOUR_MS,
  inOrder,
  MINUTE_MS,
  MONDAY,
  officeHabit,
  partition,
  routine,
} from './traffic.ts'

const ATTACKS = 200
const LEARNT_DAYS = 14
/** The night after two weeks. */
const NIGHT = MONDAY + LEARNT_DAYS * DAY_MS + 3 * HOUR_MS
const CALLS = 40
const MAX_AGE_MS = 5 * MINUTE_MS

const habits = Array.from({ length: ATTACKS }, (_, i) => officeHabit(`svc-${i}`))
const attack = (principal: Principal, start: number): AccessEvent[] =>
  burst(principal, start, CALLS, 1_000, { records: 100, responseBytes: 40_000 })

/** A gateway that only counts what it is asked to hold. */
class CountingGateway implements GatewayAdapter {
  readonly name = 'counting'
  readonly kind = 'test'
  readonly can = (['throttle', 'block'] as const).map((action) => ({
    action,
    scope: 'principal' as const,
    worstCaseDelayMs: 0,
  }))
  readonly put = async (rule: Rule): Promise<void> => void this.puts.push(rule)
  readonly puts: Rule[] = []
  readonly list = async (): Promise<readonly Rule[]> => this.puts
  readonly remove = async (): Promise<void> => undefined
  readonly check = async (): Promise<void> => undefined
}

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

interface Live {
  readonly engine: Partition
  readonly enforcer: Enforcer
  readonly gateway: CountingGateway
  readonly alerts: AlertRecord[]
  readonly decisions: Decision[]
  fold(events: readonly AccessEvent[]): Promise<void>
}

/** Detection and enforcement whose wall clock stands at `now` while the log is read. */
async function live(now: number, latched: string | null = null): Promise<Live> {
  const gateway = new CountingGateway()
  const enforcer = createEnforcer({
    gateways: [gateway],
    ledger: new MemoryLedger(),
    clock: new HandClock(now),
    random: () => 0.5,
    logger: quietLogger,
    isAllowed: () => null,
    latched: () => latched,
    guard: { windowMs: 600_000, newPrincipals: 1_000, shareOfPrincipals: 1, maxLiveRules: 10_000 },
  })
  const stop = new AbortController()
  await enforcer.load()
  enforcer.start(stop.signal)
  stops.push(async () => {
    stop.abort()
    await enforcer.drain()
  })
  const engine = partition()
  const told = { alerts: [] as AlertRecord[], decisions: [] as Decision[] }
  const fold = async (events: readonly AccessEvent[]): Promise<void> => {
    for (const event of events) engine.step(event)
    const { alerts, decisions } = drain(engine)
    told.alerts.push(...alerts)
    told.decisions.push(...decisions)
    for (const decision of decisions) await enforcer.accept(decision)
  }
  return { engine, enforcer, gateway, fold, ...told }
}

const history = (from: number, days: number) => inOrder(...habits.map((h, i) => routine(h, from, days, i)))
const opened = (alerts: readonly AlertRecord[]) => alerts.filter(({ transition }) => transition === 'opened')

describe('an hour of outage, then catching up on 200 attacks', { timeout: 120_000 }, () => {
  const attacks = (receivedAt: (time: number) => number) =>
    inOrder(...habits.map(({ principal }, i) => attack(principal, NIGHT + i * 100))).map((event) => ({
      ...event,
      receivedAt: receivedAt(event.time),
    }))
  const later = NIGHT + HOUR_MS + 2 * MINUTE_MS

  it.each([
    ['the log kept the lines', (time: number) => time],
    ['a forwarder kept the lines and sends them now', () => later],
  ])('calls no gateway and tells each attack once: %s', async (_, receivedAt) => {
    const { fold, gateway, enforcer, alerts, decisions, engine } = await live(later)
    await fold(history(MONDAY, LEARNT_DAYS))
    const before = opened(alerts).length
    await fold(attacks(receivedAt))
    const told = opened(alerts).slice(before)
    expect(new Set(told.map(({ entity }) => entity.id)).size).toBe(ATTACKS)
    expect(told).toHaveLength(ATTACKS)
    const views = enforcer.views()
    expect(decisions.length).toBeGreaterThanOrEqual(ATTACKS)
    expect(new Set(views.map(({ status }) => status))).toEqual(new Set(['withheld']))
    expect(views.every(({ statusReason }) => /^stale evidence: 3\d\d\d s old/.test(statusReason ?? ''))).toBe(
      true,
    )
    expect(gateway.puts).toEqual([])
    console.info(
      `outage: ${told.length} attacks told, ${views.length} decisions withheld, ${gateway.puts.length} gateway calls`,
    )

    // Who still attacks now is acted on now, once the engine knows that nothing holds.
    const { id, incident, principal } = decisions.at(-1)!
    expect(released(engine, incident, id)).toBe(true)
    await fold(attack(principal, later - CALLS * 1_000))
    await eventually(() => gateway.puts.length > 0, 'a rule on fresh evidence')
  })

  it('acts on the same attacks when they are fresh', async () => {
    const { fold, gateway } = await live(NIGHT + MINUTE_MS)
    await fold(history(MONDAY, LEARNT_DAYS))
    await fold(attacks((time) => time))
    await eventually(() => new Set(gateway.puts.map(({ id }) => id)).size >= ATTACKS, 'every rule')
  })
})

describe('seven days of topic after the state was lost', { timeout: 120_000 }, () => {
  const DAYS = 7
  const end = NIGHT
  const start = end - DAYS * DAY_MS
  /** Five attacks a night, and one that has just begun. */
  const topic = inOrder(
    history(Math.floor(start / DAY_MS) * DAY_MS, DAYS).filter(({ time }) => time < end),
    ...Array.from({ length: 4 * 5 }, (_, i) =>
      attack(habits[i]!.principal, end - (1 + (i % 4)) * DAY_MS + i * MINUTE_MS),
    ),
    attack(consumer('svc-150'), end - MINUTE_MS),
  )

  it('acts on nothing older than five minutes, and while latched on nothing at all', async () => {
    for (const latched of [null, 'latched to observe']) {
      const { fold, gateway, enforcer, alerts } = await live(end, latched)
      await fold(topic)
      const incidents = opened(alerts).map(({ incident }) => incident)
      expect(new Set(incidents).size).toBe(incidents.length)
      const old = enforcer.views().filter(({ decision }) => end - decision.evidenceAt > MAX_AGE_MS)
      expect(old.length).toBeGreaterThan(0)
      const acted = enforcer.views().filter(({ issuedAt }) => issuedAt !== null)
      expect(acted.every(({ decision }) => end - decision.evidenceAt <= MAX_AGE_MS)).toBe(true)
      await eventually(() => gateway.puts.length >= acted.length, 'what is fresh')
      const fresh = new Set(acted.map(({ decision }) => decision.id))
      expect(gateway.puts.every(({ id }) => fresh.has(id))).toBe(true)
      if (latched !== null) expect(gateway.puts).toEqual([])
      console.info(
        `seven days${latched === null ? '' : ', latched'}: ${incidents.length} incidents told once, ${old.length} old decisions, ${gateway.puts.length} gateway calls`,
      )
    }
  })
})
