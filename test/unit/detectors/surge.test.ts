import { describe, expect, it } from 'vitest'
import { BURST_BINS, burstBin, cutSurges } from '../../../baseline/bursts.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  burst,
  call,
  consumer,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MINUTE_MS,
  MONDAY,
  partition,
  play,
} from '../../scenarios/engine/traffic.ts'

const SURGE = DETECTORS.filter((d) => d.name === 'surge')
/** Records that a caller takes at noon, day by day: a few, or some hundred. */
const WILD = [1, 120, 2, 90, 1, 200, 60, 1, 150, 2]

const noon = (day: number) => MONDAY + day * DAY_MS + 12 * HOUR_MS

function days(name: string, records: readonly number[], from = 0): AccessEvent[] {
  return records.flatMap((n, day) => burst(consumer(name), noon(from + day), 16, MINUTE_MS, { records: n }))
}

const peers = (count: number, length = WILD.length) =>
  Array.from({ length: count }, (_, i) =>
    days(
      `peer-${i}`,
      Array.from({ length }, (_, day) => WILD[(day + i) % WILD.length]!),
    ),
  )

function knowing(...streams: readonly (readonly AccessEvent[])[]): Partition {
  const engine = partition({ detectors: SURGE, values: { minIncidentSurprise: 30 } })
  play(engine, inOrder(...streams))
  return engine
}

/** What the detector itself says of the last of these calls; null when it abstains. */
function opinion(engine: Partition, calls: readonly AccessEvent[]): number | null {
  play(engine, calls)
  const event = calls.at(-1)!
  const profile = engine.residents.slab.at(engine.residents.find('default', event.principal))
  const { prior } = engine.knowledge.active
  const asked = { event, profile, prior, newHour: false }
  const answer = engine.judge.detectors[0]!.score(asked, engine.judge.sections[0]!)
  return answer < 0 ? null : answer
}

const counted = (engine: Partition, of: 'settled' | 'early') =>
  engine.knowledge.sums.prior.surges.records[of].reduce((a, b) => a + b, 0)

describe('an hour beyond the largest of former days', () => {
  const world = () => knowing(...peers(30), days('wild', WILD))

  it('surprises by how far it is beyond, however wildly the amounts vary', () => {
    expect(opinion(world(), days('wild', [200], 10))).toBeNull()
    const ten = opinion(world(), days('wild', [2_000], 10))!
    const forty = opinion(world(), days('wild', [8_000], 10))!
    expect(ten).toBeGreaterThan(1.2)
    expect(forty).toBeGreaterThan(ten)
  })

  it('says less of a caller of few days, and nothing of a new one', () => {
    const young = knowing(...peers(30), days('young', WILD.slice(0, 4), 6))
    expect(opinion(young, days('young', [8_000], 10)) ?? 0).toBeLessThan(
      opinion(world(), days('wild', [8_000], 10))!,
    )
    expect(opinion(knowing(...peers(30)), days('fresh', [8_000], 10))).toBeNull()
  })

  it('counts calls, writes and distinct objects as well', () => {
    const many = (changes: (i: number) => Partial<AccessEvent>) =>
      Array.from({ length: 400 }, (_, i) => call(noon(10) + i * 5_000, consumer('wild'), changes(i)))
    expect(
      opinion(
        world(),
        many(() => ({ records: 0 })),
      ),
    ).toBeGreaterThan(1)
    const engine = world()
    const written = many(() => ({ method: 'DELETE', records: 0 }))
    play(engine, written)
    const view = engine.residents.slab.at(engine.residents.find('default', consumer('wild')))
    const { reasons } = engine.judge.explain(written.at(-1)!, view, engine.knowledge.active)
    expect(reasons.map((r) => r.feature)).toContain('writes/largest-hour')
    const objects = world()
    const walked = many((i) => ({ records: 0, objectIds: [`${i * 7_919}`] }))
    play(objects, walked)
    const seen = objects.residents.slab.at(objects.residents.find('default', consumer('wild')))
    const told = objects.judge.explain(walked.at(-1)!, seen, objects.knowledge.active).reasons
    const estimate = told.find((r) => r.feature === 'objects/largest-hour')!.observed
    expect(estimate).toBeGreaterThan(250)
    expect(estimate).toBeLessThan(650)
  })

  it('believes an amount less the fewer calls brought it, but what is absurd in one', () => {
    const brought = (amount: number, calls: number) =>
      opinion(
        world(),
        burst(consumer('wild'), noon(10), calls, MINUTE_MS / 2, { records: amount / calls }),
      ) ?? 0
    const few = brought(32_000, 8)
    expect(few).toBeGreaterThan(1)
    expect(brought(32_000, 1)).toBe(0)
    expect(brought(32_000, 16)).toBeGreaterThan(few)
    expect(brought(32_000, 64)).toBeGreaterThan(1.5 * few)
    const absurd = brought(3.2e9, 1)
    expect(absurd).toBeGreaterThan(5)
    expect(brought(3.2e9, 64) - absurd).toBeLessThan(2)
  })

  it('does not count what was refused or failed', () => {
    const refused = Array.from({ length: 2_000 }, (_, i) =>
      call(noon(10) + i * 1_000, consumer('wild'), { status: i % 2 === 0 ? 403 : 503, records: 100 }),
    )
    expect(opinion(world(), refused)).toBeNull()
  })

  it('is normal once it was seen day by day, growing no more than twice a day', () => {
    const once = knowing(...peers(30), days('wild', [...WILD, 8_000]))
    const often = knowing(...peers(30), days('wild', [...WILD, ...Array(7).fill(8_000)]))
    expect(opinion(once, days('wild', [8_000], 11))).toBeGreaterThan(1)
    expect(opinion(often, days('wild', [8_000], 17))).toBeNull()
  })

  it('is no lesson while it is held against the caller, unless a person accepts it', () => {
    const answerAfter = (verdict: 'accept' | 'dismiss') => {
      const engine = partition({
        detectors: SURGE,
        values: { minIncidentSurprise: 1.5, falseAlarmBudget: 200 },
      })
      play(engine, inOrder(...peers(30), days('wild', WILD)))
      play(engine, days('wild', [40_000], 10))
      const open = [...engine.book.openIncidents()].filter((i) => i.principal.label === 'wild')
      expect(open).toHaveLength(1)
      engine.close(open[0]!.id, verdict)
      return opinion(engine, days('wild', [40_000], 12))
    }
    expect(answerAfter('accept')).toBeNull()
    expect(answerAfter('dismiss')).toBeGreaterThan(1)
  })
})

describe('what is known of the surges of all', () => {
  it('counts every caller once a day from its third day on, apart while it is young', () => {
    const engine = knowing(...peers(5, 10))
    expect(counted(engine, 'early')).toBe(5 * 5)
    expect(counted(engine, 'settled')).toBe(5 * 2)
  })

  it('begins with a tail that accuses nobody, and follows what was counted', () => {
    const none = new Float64Array(BURST_BINS)
    const calm = Float64Array.from(none)
    calm[0] = 10_000
    const wild = Float64Array.from(calm)
    const ten = burstBin(10)
    wild[ten] = 500
    expect(cutSurges(none, 1)[ten]).toBeLessThan(1.1)
    expect(cutSurges(calm, 2)[ten]).toBeGreaterThan(4)
    expect(cutSurges(wild, 2)[ten]).toBeLessThan(1.4)
  })
})
