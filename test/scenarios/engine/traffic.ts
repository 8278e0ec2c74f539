import { gaussian, seededRandom } from '../../../bench/seeded-random.ts'
import type { ApprovalTimeout, Decision, Mode } from '../../../core/decision.ts'
import { type AccessEvent, type Principal, profileKey } from '../../../core/event.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { DAY_MS, eventTime, HOUR_MS, MINUTE_MS } from '../../../core/time.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import type { Detector } from '../../../detectors/detector.ts'
import { Partition } from '../../../engine/partition.ts'
import { type AllowRule, DEFAULT_SETTINGS, type EngineSettings } from '../../../engine/settings.ts'

/** Monday 7 September 2026, 00:00 UTC. */
export const MONDAY = Date.UTC(2026, 8, 7)
export { DAY_MS, HOUR_MS, MINUTE_MS }

export function consumer(name: string): Principal {
  return { kind: 'consumer', id: `id-${name}`, label: name, verified: true }
}

export function address(ip: string): Principal {
  return { kind: 'ip', id: ip, label: ip, verified: false }
}

let calls = 0

/** One served call that returned ten records; `changes` override any member. */
export function call(time: number, principal: Principal, changes: Partial<AccessEvent> = {}): AccessEvent {
  const number = ++calls
  return {
    id: `${principal.label}-${time}-${number}`,
    time: eventTime(time),
    receivedAt: time,
    tenant: 'default',
    principal,
    parents: [],
    token: null,
    credential: null,
    clientIp: '192.0.2.10',
    userAgent: 'orders/1.4',
    method: 'GET',
    route: '/v1/orders/{id}',
    path: '/v1/orders/17',
    objectIds: ['17'],
    status: 200,
    latencyMs: 20,
    requestBytes: 200,
    responseBytes: 4_000,
    records: 10,
    recordsFrom: 'header',
    refusedBy: null,
    gateway: { kind: 'kong', id: 'edge' },
    source: { topic: 'line', partition: 0, offset: number, index: 0 },
    ...changes,
  }
}

/** Starts the numbering of calls over, so that one seed gives the same events whatever ran before. */
export function renumber(): void {
  calls = 0
}

/** A caller with hours of its own. */
export interface Habit {
  readonly principal: Principal
  readonly tenant?: string
  /** Hours of the day, UTC, in which it calls. */
  readonly hours: readonly number[]
  /** Days on which it calls, 0 = Monday. */
  readonly weekdays: readonly number[]
  readonly callsPerHour: number
  readonly recordsPerCall: number
}

/** A service that reads about 50 records a day in office hours. */
export const OFFICE_HOURS = [8, 9, 10, 11, 13, 14, 15, 16]
export const WORKING_DAYS = [0, 1, 2, 3, 4]
export const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6]

export function officeHabit(name: string): Habit {
  return {
    principal: consumer(name),
    hours: OFFICE_HOURS,
    weekdays: WORKING_DAYS,
    callsPerHour: 2,
    recordsPerCall: 3,
  }
}

/** `days` days of a caller's habit with day-to-day variation, from `start` on; in order of time. */
export function routine(habit: Habit, start: number, days: number, seed: number): AccessEvent[] {
  const random = seededRandom(seed)
  const events: AccessEvent[] = []
  for (let day = 0; day < days; day++) {
    const dayStart = start + day * DAY_MS
    const weekday = Math.floor((dayStart - MONDAY) / DAY_MS) % 7
    if (!habit.weekdays.includes((weekday + 7) % 7)) continue
    const mood = Math.exp(0.25 * gaussian(random))
    for (const hour of habit.hours) {
      const expected = habit.callsPerHour * mood
      const count = Math.floor(expected) + (random() < expected % 1 ? 1 : 0)
      const times = Array.from({ length: count }, () => dayStart + hour * HOUR_MS + random() * HOUR_MS)
      for (const time of times.sort((a, b) => a - b)) {
        const records = Math.max(1, Math.round(habit.recordsPerCall * Math.exp(0.3 * gaussian(random))))
        events.push(
          call(Math.floor(time), habit.principal, {
            tenant: habit.tenant ?? 'default',
            records,
            responseBytes: 400 + records * 380,
          }),
        )
      }
    }
  }
  return events
}

/** Calls that follow one another with a fixed gap. */
export function burst(
  principal: Principal,
  start: number,
  count: number,
  gapMs: number,
  changes: Partial<AccessEvent> = {},
): AccessEvent[] {
  return Array.from({ length: count }, (_, i) => call(start + i * gapMs, principal, changes))
}

export function inOrder(...streams: readonly (readonly AccessEvent[])[]): AccessEvent[] {
  return streams.flat().sort((a, b) => a.time - b.time)
}

export interface EngineOptions {
  readonly mode?: Mode
  readonly modes?: EngineSettings['modes']
  readonly allow?: readonly AllowRule[]
  readonly values?: Partial<EngineSettings['values']>
  readonly maxPrincipals?: number
  readonly detectors?: readonly Detector[]
}

export function settingsFor(options: EngineOptions = {}): EngineSettings {
  return {
    version: 1,
    values: { ...DEFAULT_SETTINGS, ...options.values },
    modes: options.modes ?? [{ mode: options.mode ?? 'enforce' }],
    allow: options.allow ?? [],
  }
}

export function partition(options: EngineOptions = {}): Partition {
  return new Partition({
    detectors: options.detectors ?? DETECTORS,
    settings: settingsFor(options),
    maxPrincipals: options.maxPrincipals ?? 10_000,
    seed: 7,
  })
}

/** What came out of a partition, in order. */
export interface Told {
  readonly alerts: AlertRecord[]
  readonly decisions: Decision[]
  readonly approvals: ApprovalTimeout[]
}

export function drain(engine: Partition, told: Told = { alerts: [], decisions: [], approvals: [] }): Told {
  for (const output of engine.book.outputs.splice(0)) {
    if (output.kind === 'alert') told.alerts.push(output.alert)
    else if (output.kind === 'decision') told.decisions.push(output.decision)
    else if (output.kind === 'approval') told.approvals.push(output.approval)
  }
  return told
}

/** Folds events and returns what the engine had to say. */
export function play(engine: Partition, events: Iterable<AccessEvent>): Told {
  for (const event of events) engine.step(event)
  return drain(engine)
}

/** The stored bytes of a principal's profile, as a copy. */
export function profileBytes(engine: Partition, principal: Principal, tenant = 'default'): Uint8Array {
  const slot = engine.residents.find(tenant, principal)
  if (slot < 0) throw new Error(`${profileKey(tenant, principal)} has no profile`)
  const view = engine.residents.slab.at(slot)
  return view.bytes.slice(view.base, view.base + engine.residents.slab.storedBytes)
}
