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
const HOME = '192.0.2.7'
const ELSEWHERE = '198.51.100.7'

interface Place {
  readonly clientIp: string
  readonly userAgent: string
}

const at = (clientIp: string, userAgent = 'orders/2.1'): Place => ({ clientIp, userAgent })

/** Callers that come every day from these places in turn, a minute apart. */
function days(name: string, callers: number, places: readonly Place[]): AccessEvent[] {
  const streams = Array.from({ length: callers }, (_, i) =>
    Array.from({ length: DAYS }, (_, day) =>
      visit(`${name}-${i}`, MONDAY + day * DAY_MS + 9 * HOUR_MS + i * MINUTE_MS, places),
    ).flat(),
  )
  return inOrder(...streams)
}

function visit(name: string, from: number, places: readonly Place[]): AccessEvent[] {
  return places.map((place, i) => call(from + i * MINUTE_MS, consumer(name), { ...place }))
}

const TODAY = MONDAY + DAYS * DAY_MS + 12 * HOUR_MS
const turns = (count: number, one: Place, other: Place) =>
  Array.from({ length: count }, (_, i) => (i % 2 === 0 ? one : other))

function opinion(known: readonly AccessEvent[], name: string, places: readonly Place[]): number | null {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  play(engine, known)
  play(engine, visit(name, TODAY, places))
  return engine.judge.parts.find((p) => p.detector === 'token-sharing')?.surprise ?? null
}

describe('one credential in two places', () => {
  const calm = days('peer', PEERS, turns(4, at(HOME), at(HOME)))

  it('surprises where nearly nobody takes turns, the more the longer it goes on', () => {
    const few = opinion(calm, 'peer-0', turns(6, at(HOME), at(ELSEWHERE)))!
    const many = opinion(calm, 'peer-0', turns(40, at(HOME), at(ELSEWHERE)))!
    expect(few).toBeGreaterThan(1)
    expect(many).toBeGreaterThan(few)
  })

  it('is told by the client program too, but not by its version', () => {
    expect(opinion(calm, 'peer-0', turns(20, at(HOME), at(HOME, 'curl/8.4')))).toBeGreaterThan(1)
    expect(opinion(calm, 'peer-0', turns(20, at(HOME), at(HOME, 'orders/2.2')))).toBeNull()
  })

  it('is neither a move nor a visit elsewhere', () => {
    const moved = [...turns(10, at(HOME), at(HOME)), ...turns(10, at(ELSEWHERE), at(ELSEWHERE))]
    expect(opinion(calm, 'peer-0', moved)).toBeNull()
    expect(opinion(calm, 'peer-0', [...moved, at(HOME)])).toBeNull()
    const travelling = Array.from({ length: 20 }, (_, i) => at(`198.18.${i}.1`))
    expect(opinion(calm, 'peer-0', travelling)).toBeNull()
  })

  it('is normal for a caller of several machines, and where everybody has several', () => {
    const pair = turns(20, at(HOME), at(ELSEWHERE))
    expect(opinion(inOrder(calm, days('farm', 1, pair)), 'farm-0', pair)).toBeNull()
    expect(opinion(days('peer', PEERS, pair), 'peer-0', pair)).toBeNull()
  })

  it('says nothing where the log names no address', () => {
    const engine = partition({ values: { minIncidentSurprise: 30 } })
    play(engine, calm)
    const calls = visit('peer-0', TODAY, turns(20, at(HOME), at(HOME, 'curl/8.4')))
    play(
      engine,
      calls.map((event) => ({ ...event, clientIp: null })),
    )
    expect(engine.judge.parts.some((p) => p.detector === 'token-sharing')).toBe(false)
  })
})
