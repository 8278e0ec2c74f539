import { describe, expect, it } from 'vitest'
import { BURST_BINS, burstBin, callsOfBin, cutBursts } from '../../../baseline/bursts.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  burst,
  consumer,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MINUTE_MS,
  MONDAY,
  partition,
  play,
} from '../../scenarios/engine/traffic.ts'

const PEERS = 40
const GAP = 1_000

/** Each of some callers makes `size` calls at a time, once an hour from 9 to 16, on `days` days. */
function bursts(name: string, callers: number, size: number, days: number): AccessEvent[] {
  const streams = Array.from({ length: callers }, (_, i) =>
    Array.from({ length: days * 8 }, (_, n) => {
      const hour = Math.floor(n / 8) * 24 + 9 + (n % 8)
      return burst(consumer(`${name}-${i}`), MONDAY + hour * HOUR_MS + i * MINUTE_MS, size, 9_000 / size)
    }).flat(),
  )
  return inOrder(...streams)
}

function knowing(...streams: readonly (readonly AccessEvent[])[]): Partition {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  play(engine, inOrder(...streams))
  return engine
}

/** The opinion about the last of so many calls within nine seconds, or null when it abstains. */
function opinion(engine: Partition, name: string, calls: number, day: number): number | null {
  const start = MONDAY + day * DAY_MS + 12 * HOUR_MS + 30 * MINUTE_MS
  play(engine, burst(consumer(name), start, calls, 9_000 / calls))
  return engine.judge.parts.find((p) => p.detector === 'burst')?.surprise ?? null
}

const newcomers = (engine: Partition) =>
  engine.knowledge.sums.prior.peaks.bursts.newcomers.reduce((a, b) => a + b, 0)
const days = (engine: Partition) => engine.knowledge.sums.prior.peaks.bursts.known.reduce((a, b) => a + b, 0)

describe('a burst of calls within ten seconds', () => {
  const calm = bursts('peer', PEERS, 2, 8)

  it('surprises from a newcomer when hardly any peer has one, the more the larger it is', () => {
    const few = opinion(knowing(calm), 'new', 20, 8)!
    const many = opinion(knowing(calm), 'new', 200, 8)!
    expect(few).toBeGreaterThan(2)
    expect(many).toBeGreaterThan(few)
  })

  it('is no opinion when the peers do as much, and when it is small', () => {
    expect(opinion(knowing(bursts('peer', PEERS, 9, 8)), 'new', 9, 8)).toBeNull()
    expect(opinion(knowing(calm), 'new', 2, 8)).toBeNull()
  })

  it('is normal for a caller that does it every day, whatever the peers do, until it grows', () => {
    const batch = bursts('batch', 1, 60, 8)
    expect(opinion(knowing(calm, batch), 'batch-0', 60, 8)).toBeNull()
    expect(opinion(knowing(calm, batch), 'batch-0', 1_500, 8)).toBeGreaterThan(2)
  })

  it('ends with its ten seconds', () => {
    const engine = knowing(calm)
    expect(opinion(engine, 'new', 20, 8)).not.toBeNull()
    play(engine, burst(consumer('new'), MONDAY + 8 * DAY_MS + 13 * HOUR_MS, 1, GAP))
    expect(engine.judge.parts.some((p) => p.detector === 'burst')).toBe(false)
  })

  it('says how many calls there were and what is usual', () => {
    const engine = partition({ detectors: DETECTORS.filter((d) => d.name === 'burst') })
    play(engine, calm)
    play(engine, burst(consumer('new'), MONDAY + 8 * DAY_MS + 12 * HOUR_MS, 3_000, 3))
    const [incident] = [...engine.book.openIncidents()]
    expect(incident!.reasons[0]).toMatchObject({
      feature: 'requests/10s',
      unit: 'requests',
      comparedWith: 'peers',
    })
    expect(incident!.reasons[0]!.expected).toBeLessThanOrEqual(3)
    expect(incident!.reasons[0]!.range[1]).toBeLessThan(20)
  })
})

describe('what is known of the bursts of all', () => {
  it('counts each caller once a day from its second day on', () => {
    expect(days(knowing(bursts('peer', 10, 2, 4)))).toBe(10 * 2)
  })

  it('counts a newcomer once, by its busiest slot', () => {
    const engine = knowing(bursts('new', 10, 3, 1), bursts('busy', 1, 9, 1))
    expect(newcomers(engine)).toBe(11)
    expect(engine.knowledge.sums.prior.peaks.bursts.newcomers[burstBin(9)]).toBe(1)
  })

  it('takes newcomers for what is usual only while hardly anybody is known', () => {
    const wild = histogram(burstBin(100), 10_000)
    const cut = (days: number, newcomers: Float64Array) =>
      cutBursts({ known: histogram(burstBin(2), days), newcomers })
    const young = cut(20, wild)
    const grown = cut(1_000, wild)
    expect(young[burstBin(100)]).toBeLessThan(0.1)
    expect(grown[burstBin(100)]).toBeGreaterThan(3)
    expect(grown).toEqual(cut(1_000, histogram(0, 0)))
  })

  it('has bins that begin at their smallest number', () => {
    for (let calls = 1; calls <= 65_535; calls = Math.ceil(calls * 1.07)) {
      const bin = burstBin(calls)
      expect(callsOfBin(bin)).toBeLessThanOrEqual(calls)
      if (bin < BURST_BINS - 1) expect(callsOfBin(bin + 1)).toBeGreaterThan(calls)
    }
  })
})

function histogram(bin: number, days: number): Float64Array {
  const counts = new Float64Array(BURST_BINS)
  counts[bin] = days
  return counts
}
