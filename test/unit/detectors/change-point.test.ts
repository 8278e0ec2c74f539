import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import type { Partition } from '../../../engine/partition.ts'
import { call, consumer, MINUTE_MS, MONDAY, partition, play } from '../../scenarios/engine/traffic.ts'

const FEED = consumer('feed')
const PER_DAY = 288
const STEP = 5 * MINUTE_MS
const DAYS = 2

type Change = (i: number) => Partial<AccessEvent>

/** An answer about every five minutes for two days, of 18 to 22 KB; `change` makes some of them others. */
function feed(change: Change = () => ({}), calls = DAYS * PER_DAY): AccessEvent[] {
  return Array.from({ length: calls }, (_, i) =>
    call(MONDAY + i * STEP, FEED, {
      responseBytes: 20_000 + 2_000 * Math.round(100 * Math.sin(i * 1.7)) * 0.01,
      ...change(i),
    }),
  )
}

function playing(events: readonly AccessEvent[]): Partition {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  play(engine, events)
  return engine
}

const said = (engine: Partition) =>
  engine.judge.parts.find((p) => p.detector === 'change-point')?.surprise ?? null

/** What is said of the answer after two days, when it is of this size. */
function opinion(size: number | null, change?: Change, at = 0): number | null {
  const engine = playing(feed(change))
  const time = MONDAY + DAYS * PER_DAY * STEP + at
  play(engine, [call(time, FEED, { responseBytes: size, ...change?.(DAYS * PER_DAY) })])
  return said(engine)
}

describe('a steady caller', () => {
  it('surprises by a larger and by a smaller answer, the more the farther it is from what is usual', () => {
    expect(opinion(20_500)).toBeNull()
    const less = opinion(5_000)!
    const nothing = opinion(0)!
    expect(less).toBeGreaterThan(2)
    expect(nothing).toBeGreaterThan(less)
    expect(opinion(60_000)).toBeGreaterThan(nothing)
  })

  it('surprises less where such answers come every day', () => {
    const restless = opinion(60_000, (i) => (i % 100 === 50 ? { responseBytes: 60_000 } : {}))
    expect(restless ?? 0).toBeLessThan(opinion(60_000)! / 2)
  })

  it('surprises when it leaves its recent level, though all its sizes are known', () => {
    // A slow wave: what is usual at its top is a leap at its foot.
    const wave: Change = (i) => ({ responseBytes: 100_000 + 80_000 * Math.sin((i * Math.PI) / PER_DAY) })
    const engine = playing(feed(wave))
    play(engine, [call(MONDAY + DAYS * PER_DAY * STEP, FEED, { responseBytes: 170_000 })])
    expect(said(engine)).toBeGreaterThan(2)
  })

  it('is not judged by answers that failed, were refused or have no size', () => {
    for (const odd of [{ status: 503 }, { refusedBy: 'upstream' }, { responseBytes: null }] as const) {
      const engine = playing(feed())
      play(engine, [call(MONDAY + DAYS * PER_DAY * STEP, FEED, { responseBytes: 90_000, ...odd })])
      expect(said(engine)).toBeNull()
    }
  })
})

describe('whoever is not steady', () => {
  it('is not judged: by its pace, and by what it asks for', () => {
    const bursts = Array.from({ length: 1_200 }, (_, i) =>
      call(MONDAY + Math.floor(i / 6) * 6 * STEP + (i % 6) * 900, FEED, { responseBytes: 20_000 }),
    )
    const engine = playing(bursts)
    play(engine, [call(MONDAY + 200 * 6 * STEP + 900, FEED, { responseBytes: 900_000 })])
    expect(said(engine)).toBeNull()
    expect(opinion(900_000, (i) => ({ method: i % 2 === 0 ? 'GET' : 'PUT' }))).toBeNull()
    expect(opinion(900_000, undefined, 40 * STEP)).toBeNull()
  })

  it('leaves nothing in its profile most of the time', () => {
    const engine = playing(feed((i) => ({ method: i % 2 === 0 ? 'GET' : 'PUT' }), 1_000))
    const slot = engine.residents.find('default', FEED)
    const view = engine.residents.slab.at(slot)
    const section = engine.judge.sections[engine.judge.detectors.findIndex((d) => d.name === 'change-point')]!
    const from = view.base + section.offset
    expect([...view.bytes.subarray(from, from + section.bytes)].every((byte) => byte === 0)).toBe(true)
  })
})
