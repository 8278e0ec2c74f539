import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { proofsOf } from '../../../engine/hold-proof.ts'
import { type IssuedDecision, openIncident } from '../../../engine/incident.ts'
import { call, consumer, MONDAY } from '../../scenarios/engine/traffic.ts'

const WHO = consumer('orders')
const TOKEN = { iss: 'https://id.example', sub: 'orders', jti: 't1', iat: 1, exp: null, scopes: [] }

function held(changes: Partial<IssuedDecision> = {}) {
  const incident = openIncident(call(MONDAY, WHO), MONDAY)
  incident.rung = 2
  incident.issued.push({
    id: 'dec_1',
    action: 'block',
    mode: 'enforce',
    scope: { kind: 'principal', principal: WHO },
    at: MONDAY,
    holdUntil: MONDAY + 3_600_000,
    ...changes,
  })
  return (after: number, event: Partial<AccessEvent> = {}) =>
    proofsOf(incident, call(MONDAY + after, WHO, event), MONDAY + after).map(({ proof }) => proof)
}

const REFUSED = { refusedBy: 'curfew', status: 403 } as const

describe('proof of hold', () => {
  it('is the first refusal, told once', () => {
    const proofs = held()
    expect(proofs(1, REFUSED)).toEqual(['held'])
    expect(proofs(2, REFUSED)).toEqual([])
  })

  it('is none for a refusal of another kind: 429 is a throttle, 401 and 403 are not', () => {
    expect(held()(1, { refusedBy: 'curfew', status: 429 })).toEqual([])
    const throttle = held({ action: 'throttle', limit: { requests: 1, windowSeconds: 10 } })
    expect(throttle(1, REFUSED)).toEqual([])
    expect(throttle(2, { refusedBy: 'curfew', status: 429 })).toEqual(['held'])
  })

  it('is none while nothing is enforced, before the decision and after its end', () => {
    expect(held({ mode: 'observe' })(1, REFUSED)).toEqual([])
    expect(held()(-1, REFUSED)).toEqual([])
    expect(held()(3_600_000, REFUSED)).toEqual([])
  })

  it('counts calls of the scope only', () => {
    const token = held({ action: 'revoke-token', scope: { kind: 'token', iss: TOKEN.iss, jti: 't1' } })
    expect(token(20_000, { token: { ...TOKEN, iss: 'https://other.example' } })).toEqual([])
    expect(token(20_000, { token: { ...TOKEN, jti: 't2' } })).toEqual([])
    expect(token(20_000, { token: null })).toEqual([])
    expect(token(20_000, { token: TOKEN })).toEqual(['leaking'])
  })
})

describe('a leak', () => {
  it('is a served call later than the grace, told again at doubling distance', () => {
    const proofs = held()
    const told = [5, 11, 12, 19, 21, 39, 41].map((s) => proofs(s * 1_000).length)
    expect(told).toEqual([0, 1, 0, 0, 1, 0, 1])
  })

  it('is no refusal and no failure', () => {
    expect(held()(20_000, { status: 500 })).toEqual([])
    expect(held()(20_000, { refusedBy: 'upstream', status: 403 })).toEqual([])
  })

  it('of a throttle is what passes beyond twice its limit in a minute', () => {
    const proofs = held({ action: 'throttle', limit: { requests: 1, windowSeconds: 10 } })
    const told = Array.from({ length: 14 }, (_, i) => proofs(15_000 + i).length)
    expect(told).toEqual([...Array(12).fill(0), 1, 0])
    expect(proofs(15_000 + 60_000)).toEqual([])
  })
})
