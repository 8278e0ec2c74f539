import fc from 'fast-check'
import { weighInPrior } from '../../../baseline/prior.ts'
import type { AccessEvent, Principal, RefusedBy } from '../../../core/event.ts'
import { eventTime } from '../../../core/time.ts'
import type { ControlEffect } from '../../../engine/control-records.ts'
import type { Incident } from '../../../engine/incident.ts'
import { BOUNDARY_MS, emptySums, encodeSums } from '../../../engine/knowledge.ts'
import { POPULATIONS, type PopulationName, sealKnowledge } from '../../../engine/merged-knowledge.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  address,
  call,
  consumer,
  type EngineOptions,
  MONDAY,
  settingsFor,
} from '../../scenarios/engine/traffic.ts'

/** Callers of two tenants, some of whom share a name, and one without identity. */
const PRINCIPALS: readonly (readonly [string, Principal])[] = [
  ['acme', consumer('orders')],
  ['globex', consumer('orders')],
  ['acme', consumer('billing')],
  ['acme', { kind: 'sub', id: 'orders', label: 'orders', verified: true }],
  ['globex', address('203.0.113.9')],
  ['acme', address('198.51.100.7')],
]

/** One thing that happens to a partition. */
export type Happening =
  | { readonly kind: 'event'; readonly event: AccessEvent }
  | { readonly kind: 'unreadable'; readonly lines: number; readonly host: number; readonly laterMs: number }
  | { readonly kind: 'repeat'; readonly back: number }
  | { readonly kind: 'tick'; readonly aheadMs: number }
  | { readonly kind: 'settings'; readonly options: EngineOptions }
  | { readonly kind: 'close'; readonly verdict: 'accept' | 'dismiss' }
  | { readonly kind: 'release' }
  | { readonly kind: 'approve' }
  | {
      readonly kind: 'knowledge'
      readonly population: PopulationName
      readonly version: number
      readonly callers: number
      readonly mean: number
    }

interface Drawn {
  readonly who: number
  readonly gapMs: number
  readonly lateMs: number
  readonly records: number
  readonly status: number
  readonly refusedBy: RefusedBy
  readonly token: boolean
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  who: fc.nat(PRINCIPALS.length - 1),
  gapMs: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 5_400_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 200_000_000 }) },
  ),
  lateMs: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 9_000_000 })),
  records: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 20 }) },
    fc.integer({ min: 0, max: 2_000_000 }),
  ),
  status: fc.constantFrom(200, 200, 200, 404, 500),
  refusedBy: fc.constantFrom<RefusedBy[]>(null, null, null, null, 'gateway', 'curfew', 'upstream'),
  token: fc.boolean(),
})

type Step = { readonly kind: 'event'; readonly drawn: Drawn } | Exclude<Happening, { kind: 'event' }>

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 30,
    arbitrary: drawn.map((d): Step => ({ kind: 'event', drawn: d })),
  },
  { weight: 3, arbitrary: fc.nat(20).map((back): Step => ({ kind: 'repeat', back })) },
  {
    weight: 3,
    arbitrary: fc
      .record({ lines: fc.integer({ min: 1, max: 40 }), host: fc.nat(3), laterMs: fc.nat(600_000) })
      .map((lines): Step => ({ kind: 'unreadable', ...lines })),
  },
  { weight: 1, arbitrary: fc.nat(9_000_000).map((aheadMs): Step => ({ kind: 'tick', aheadMs })) },
  {
    weight: 1,
    arbitrary: fc
      .record({
        modes: fc.constantFrom<NonNullable<EngineOptions['modes']>[]>(
          [{ mode: 'observe' }],
          [{ mode: 'enforce' }],
          [{ mode: 'approve' }],
          [{ mode: 'approve', onTimeout: 'act' }],
          [{ mode: 'approve', onTimeout: 'extend' }],
        ),
        values: fc.record({
          minIncidentSurprise: fc.integer({ min: 1, max: 4 }),
          quietSeconds: fc.integer({ min: 60, max: 7_200 }),
          approvalSeconds: fc.integer({ min: 60, max: 3_600 }),
        }),
      })
      .map((options): Step => ({ kind: 'settings', options })),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<('accept' | 'dismiss')[]>('accept', 'dismiss')
      .map((verdict): Step => ({ kind: 'close', verdict })),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'release' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'approve' }) },
  {
    weight: 2,
    arbitrary: fc
      .record({
        population: fc.constantFrom(...POPULATIONS),
        version: fc.integer({ min: 1, max: 9 }),
        callers: fc.nat(60),
        mean: fc.integer({ min: 0, max: 12 }),
      })
      .map((learnt): Step => ({ kind: 'knowledge', ...learnt })),
  },
)

/** Random lives of a partition: calls, repeats, lateness, refusals and every kind of control record. */
export const happenings: fc.Arbitrary<Happening[]> = fc
  .array(step, { minLength: 20, maxLength: 160, size: 'max' })
  .map((steps) => {
    let time = MONDAY
    return steps.map((s, number): Happening => {
      if (s.kind !== 'event') return s
      time += s.drawn.gapMs
      return { kind: 'event', event: eventOf(s.drawn, time, number) }
    })
  })

function eventOf(d: Drawn, time: number, number: number): AccessEvent {
  const [tenant, principal] = PRINCIPALS[d.who]!
  const at = time - d.lateMs
  const iat = Math.floor(at / 1000) - 60
  return call(at, principal, {
    id: `request-${number}`,
    time: eventTime(at),
    tenant,
    records: d.records,
    responseBytes: d.records * 400,
    status: d.refusedBy === null ? d.status : 403,
    refusedBy: d.refusedBy,
    token: d.token
      ? { iss: 'https://id.example', sub: principal.id, jti: `t${number % 3}`, iat, exp: null, scopes: [] }
      : null,
  })
}

/** Settings under which short random lives open incidents and reach every rung of the ladder. */
export const EAGER: EngineOptions = {
  values: {
    minIncidentSurprise: 1,
    falseAlarmBudget: 200,
    throttleSurprise: 2,
    revokeSurprise: 2,
    persistenceEvents: 1,
    revokeAttempts: 1,
    impactRecords: 1,
    holdSeconds: 600,
  },
}

/** Sums of so many callers elsewhere, all alike. */
export function learntElsewhere(callers: number, mean: number): Float64Array {
  const sums = emptySums()
  for (let i = 0; i < callers; i++)
    for (let cell = 0; cell < sums.prior.count.length; cell++) weighInPrior(sums.prior, cell, 20, mean, 12, 1)
  sums.calibration.dayMaxima[20] = 5 * callers
  return encodeSums(sums)
}

/** Applies one happening; `past` are the events so far. Control effects go through `control`. */
export function happen(
  engine: Partition,
  happening: Happening,
  past: AccessEvent[],
  control: (effect: ControlEffect) => void,
): void {
  switch (happening.kind) {
    case 'event':
      past.push(happening.event)
      engine.step(happening.event)
      return
    case 'unreadable': {
      const { lines, host, laterMs } = happening
      engine.unreadable({
        tenant: 'acme',
        source: 'edge',
        gateway: { kind: 'kong', id: 'edge' },
        address: host === 0 ? null : `203.0.113.${host}`,
        lines,
        receivedAt: (engine.now || MONDAY) + laterMs,
        position: { topic: 'edge!', partition: 0, offset: 0, index: 0 },
      })
      return
    }
    case 'repeat': {
      const event = past[past.length - 1 - happening.back]
      if (event !== undefined) engine.step(event)
      return
    }
    case 'tick':
      control({ kind: 'tick', time: engine.now + happening.aheadMs })
      return
    case 'settings':
      control({
        kind: 'settings',
        settings: settingsFor({
          ...EAGER,
          ...happening.options,
          values: { ...EAGER.values, ...happening.options.values },
        }),
      })
      return
    case 'close': {
      const first = firstOpen(engine)
      control({ kind: 'close-incident', incident: first?.id ?? 'inc_none', verdict: happening.verdict })
      return
    }
    case 'release': {
      const first = firstOpen(engine)
      const decision = first?.issued.at(-1)?.id ?? 'dec_none'
      control({ kind: 'decision-released', incident: first?.id ?? 'inc_none', decision })
      return
    }
    case 'approve': {
      const first = firstOpen(engine)
      const [incident, decision] = [first?.id ?? 'inc_none', first?.issued.at(-1)?.id ?? 'dec_none']
      control({ kind: 'decision-approved', incident, decision, until: engine.now + 600_000 })
      return
    }
    case 'knowledge': {
      const { population, version, callers, mean } = happening
      const cutAt = Math.floor(engine.now / BOUNDARY_MS - 1) * BOUNDARY_MS
      const made = sealKnowledge(population, version, cutAt, learntElsewhere(callers, mean))
      control({ kind: 'knowledge', ...made })
    }
  }
}

/** The open incident with the lowest id: a person picks by id, and the book promises no order. */
function firstOpen(engine: Partition): Incident | undefined {
  return [...engine.book.openIncidents()].sort((a, b) => (a.id < b.id ? -1 : 1))[0]
}
