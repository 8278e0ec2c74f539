import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { released } from '../../../engine/hold-changes.ts'
import { burst, DAY_MS, HOUR_MS, inOrder, MONDAY, officeHabit, partition, play, routine } from './traffic.ts'

const orders = officeHabit('orders-svc')
const NIGHT = MONDAY + 16 * DAY_MS + 3 * HOUR_MS
const token = (jti: string, at: number) => ({
  iss: 'https://id.example',
  sub: 'orders-svc',
  jti,
  iat: Math.floor(at / 1_000),
  exp: Math.floor(at / 1_000) + 3_600,
  scopes: [],
})

describe('a person lifts the decision that stands, and the caller goes on', () => {
  const peers = Array.from({ length: 20 }, (_, i) => routine(officeHabit(`svc-${i}`), MONDAY, 16, 100 + i))
  const stolen = (at: number, count: number, jti: string, changes: Partial<AccessEvent> = {}) =>
    burst(orders.principal, at, count, 2_000, {
      records: 25,
      responseBytes: 9_900,
      token: token(jti, at),
      ...changes,
    })

  /** Throttled, its token revoked, and with a new token its subject. */
  function climbed(rungs: 2 | 3) {
    const engine = partition()
    play(engine, inOrder(...peers, routine(orders, MONDAY, 16, 1)))
    const decisions = [
      ...play(engine, stolen(NIGHT, 20, 'night')).decisions,
      ...play(engine, stolen(NIGHT + 40_000, 30, 'night', { refusedBy: 'curfew', status: 429 })).decisions,
      ...(rungs === 3 ? play(engine, stolen(NIGHT + 170_000, 5, 'fresh')).decisions : []),
    ]
    expect(decisions.map(({ action }) => action)).toEqual(
      ['throttle', 'revoke-token', 'revoke-token'].slice(0, rungs),
    )
    return { engine, last: decisions.at(-1)! }
  }

  it.each([2, 3] as const)(
    'with %i rungs taken: nothing holds any more, and fresh evidence begins with the first',
    (rungs) => {
      const { engine, last } = climbed(rungs)
      expect(released(engine, last.incident, last.id)).toBe(true)
      const from = NIGHT + 200_000
      const first = play(engine, stolen(from, 3, 'later')).decisions
      expect(first).toEqual([])
      const again = play(engine, stolen(from + 10_000, 60, 'later')).decisions
      expect(again[0]).toMatchObject({ action: 'throttle', incident: last.incident, mode: 'enforce' })
    },
  )
})
