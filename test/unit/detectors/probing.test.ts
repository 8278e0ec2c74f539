import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import {
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

const PEERS = 40
const DAYS = 8

/** Some callers read eight objects a day; the first call of each day is refused `refused` times, one object after the other. */
function reads(name: string, callers: number, refused: number): AccessEvent[] {
  const streams = Array.from({ length: callers }, (_, i) =>
    Array.from({ length: DAYS * 8 }, (_, n) => {
      const time = MONDAY + Math.floor(n / 8) * DAY_MS + (9 + (n % 8)) * HOUR_MS + i * MINUTE_MS
      const one = [call(time, consumer(`${name}-${i}`), { objectIds: [`${1_000 + 37 * n}`] })]
      return n % 8 > 0 ? one : [...one, ...refusals(`${name}-${i}`, time + 1_000, refused, 404)]
    }).flat(),
  )
  return inOrder(...streams)
}

/** Refused calls, a second apart, each of another object unless `same`. */
function refusals(name: string, from: number, count: number, status: number, same = false): AccessEvent[] {
  return Array.from({ length: count }, (_, i) =>
    call(from + i * 1_000, consumer(name), { status, objectIds: [same ? '7' : `${900_000 - 131 * i}`] }),
  )
}

const LAST_DAY = MONDAY + DAYS * DAY_MS + 12 * HOUR_MS

/** What probing says of the last of these calls, after the peers; null when it abstains. */
function opinion(known: readonly AccessEvent[], calls: readonly AccessEvent[]): number | null {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  play(engine, known)
  play(engine, calls)
  return engine.judge.parts.find((p) => p.detector === 'probing')?.surprise ?? null
}

describe('refusals within an hour', () => {
  const calm = reads('peer', PEERS, 1)

  it('surprise where nearly nobody collects as many, the more the more there are', () => {
    const few = opinion(calm, refusals('peer-0', LAST_DAY, 12, 403))!
    const many = opinion(calm, refusals('peer-0', LAST_DAY, 120, 403))!
    expect(few).toBeGreaterThan(1)
    expect(many).toBeGreaterThan(few)
  })

  it('are told apart from a client that asks for the same again, and from guessed passwords', () => {
    expect(opinion(calm, refusals('peer-0', LAST_DAY, 120, 404, true))).toBeNull()
    expect(opinion(calm, refusals('peer-0', LAST_DAY, 120, 401, true))).toBeGreaterThan(2)
  })

  it('are no failures of the service, no limits and nothing that was served', () => {
    for (const status of [200, 429, 500, 503])
      expect(opinion(calm, refusals('peer-0', LAST_DAY, 120, status))).toBeNull()
  })

  it('are normal for who collects them daily, and where everybody does', () => {
    const scanner = reads('scanner', 1, 60)
    expect(opinion(inOrder(calm, scanner), refusals('scanner-0', LAST_DAY, 60, 404))).toBeNull()
    expect(opinion(reads('peer', PEERS, 20), refusals('peer-0', LAST_DAY, 20, 404))).toBeNull()
  })

  it('count days without any as days of the caller', () => {
    const once = inOrder(calm, refusals('peer-0', MONDAY + 2 * DAY_MS + 13 * HOUR_MS, 3, 404))
    expect(opinion(once, refusals('peer-0', LAST_DAY, 60, 404))).toBeGreaterThan(2)
  })
})
