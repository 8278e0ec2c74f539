import { describe, expect, it } from 'vitest'
import type { AccessEvent, Token } from '../../../core/event.ts'
import type { Reason } from '../../../core/opinion.ts'
import { type Incident, openIncident } from '../../../engine/incident.ts'
import { evasionStep, nextStep } from '../../../engine/policy.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import { call, consumer, MONDAY } from '../../scenarios/engine/traffic.ts'

const THRESHOLD = 4
const ENFORCED = {
  id: 'dec_1',
  action: 'throttle',
  mode: 'enforce',
  at: MONDAY,
  holdUntil: MONDAY + 3_600_000,
} as const
const token = (jti: string | null, changes: Partial<Token> = {}) => ({
  iss: 'https://id.example',
  sub: 'orders',
  jti,
  iat: 1_788_700_000,
  exp: 1_788_710_000,
  events: 20,
  ...changes,
})

const reason = (detector: string, feature: string, surprise: number): Reason => ({
  detector,
  feature,
  observed: 500,
  expected: 20,
  range: [0, 80],
  unit: 'records',
  surprise,
  weight: 0.5,
  comparedWith: 'own history',
})
const AMOUNTS = [reason('volume', 'records/1h', 10), reason('surge', 'writes/largest-hour', 5)]
const AT_NIGHT = reason('off-hours', 'hour-of-week/Tue 03:00 UTC', 3)

/** A strong incident: surprise 10, 500 records in 20 calls, at an hour at which it never works. */
function incident(changes: Partial<Incident> = {}): Incident {
  const since = { records: 500, requests: 20, bytes: 200_000, events: 20 }
  return {
    ...openIncident(call(MONDAY, consumer('orders')), MONDAY),
    surprise: 10,
    reasons: [...AMOUNTS, AT_NIGHT],
    events: 20,
    records: 500,
    requests: 20,
    bytes: 200_000,
    since,
    ...changes,
  }
}

const issued = (changes: object = {}) => [
  { ...ENFORCED, scope: { kind: 'principal', principal: consumer('orders') } as const, ...changes },
]

const step = (i: Incident, state: 'LEARNING' | 'MATURE' = 'MATURE', at = MONDAY + 1_000) =>
  nextStep(i, state, THRESHOLD, DEFAULT_SETTINGS, at)

describe('what a revocation needs', () => {
  const held = (reasons: readonly Reason[], rung = 1) =>
    incident({
      rung,
      issued: issued(),
      attempts: DEFAULT_SETTINGS.revokeAttempts,
      reasons,
      tokens: [token('night')],
    })

  it.each([
    ['amounts alone', AMOUNTS],
    [
      'amounts of seldom used operations',
      [
        ...AMOUNTS,
        reason('novelty', 'operation/GET /v1/x/export', 7),
        reason('novelty', 'hour-of-day/05:00 UTC', 4),
      ],
    ],
    ['an hour that is only seldom', [...AMOUNTS, { ...AT_NIGHT, surprise: 2.4 }]],
    ['an hour that nothing else speaks with', [AT_NIGHT]],
    ['another order, whatever it adds to an hour', [AT_NIGHT, reason('sequence', 'sequence/GET /v1/x', 20)]],
  ])('is a block, not a revocation, for %s', (_, reasons) => {
    expect(step(held(reasons))).toMatchObject({ rung: 2, action: 'block' })
    expect(step(held(reasons, 2))).toBeNull()
  })

  it.each([
    ['another network', [...AMOUNTS, reason('novelty', 'network/new', 3)]],
    ['refusals', [...AMOUNTS, reason('probing', 'refusals/1h', 4)]],
    [
      'ids in a row and a seldom operation',
      [reason('enumeration', 'id-steps/1h', 5), reason('novelty', 'operation/GET /v1/x', 6)],
    ],
    ['one kind beyond doubt', [reason('probing', 'refusals/1h', 8)]],
    ['an absurd amount', [reason('volume', 'records/10m', 12)]],
    ['a detector of a kind of its own', [...AMOUNTS, reason('decoy', 'decoy/used', 300)]],
  ])('is a revocation for %s', (_, reasons) => {
    expect(step(held(reasons))).toMatchObject({ rung: 3, action: 'revoke-token' })
    expect(step(held(reasons, 2))).toMatchObject({ rung: 3 })
  })
})

describe('the first rung', () => {
  it('throttles the principal with the limit that is set', () => {
    expect(step(incident())).toEqual({
      rung: 1,
      action: 'throttle',
      scope: { kind: 'principal', principal: consumer('orders') },
      limit: { requests: 1, windowSeconds: 10 },
      tokenExp: null,
    })
  })

  it('blocks where a throttle would still let too much out', () => {
    expect(step(incident({ records: 100_000 }))).toMatchObject({ rung: 2, action: 'block', limit: null })
  })

  it.each([
    ['surprise', { surprise: 5.4 }],
    ['persistence', { events: 3, since: { records: 500, requests: 3, bytes: 0, events: 3 } }],
    ['impact', { records: 99, since: { records: 99, requests: 20, bytes: 200_000, events: 20 } }],
  ])('waits for %s', (_, changes) => {
    expect(step(incident(changes))).toBeNull()
  })

  it('asks for half a decade above the incident threshold, however low the setting is', () => {
    const values = { ...DEFAULT_SETTINGS, throttleSurprise: 2 }
    expect(nextStep(incident({ surprise: 4.4 }), 'MATURE', THRESHOLD, values, MONDAY)).toBeNull()
    expect(nextStep(incident({ surprise: 4.6 }), 'MATURE', THRESHOLD, values, MONDAY)).not.toBeNull()
  })

  it('is open for newcomers too', () => {
    expect(step(incident(), 'LEARNING')).toMatchObject({ action: 'throttle' })
  })

  it('is not taken for an incident that ended or that learning has overtaken', () => {
    expect(step(incident({ stale: true }))).toBeNull()
    expect(step(incident({ resolvedAt: MONDAY }))).toBeNull()
  })
})

describe('the next rung', () => {
  const held = (changes: Partial<Incident> = {}) =>
    incident({ rung: 1, issued: issued(), attempts: 10, tokens: [token('t1')], ...changes })
  const revoked = (changes: object = {}) => {
    const scope = { kind: 'token', iss: 'https://id.example', jti: 't1' } as const
    return held({ rung: 3, issued: issued({ action: 'revoke-token', scope, ...changes }) })
  }
  const minted = (jti: string | null, changes: Partial<Token> = {}) => ({
    ...call(MONDAY + 1, consumer('orders')),
    token: { ...token(jti), iat: MONDAY / 1_000, scopes: [], ...changes },
  })
  const evasion = (of: Incident, event: AccessEvent, at = MONDAY + 1) => evasionStep(of, 'MATURE', event, at)

  it('revokes the one token that nearly all surprising calls carried', () => {
    expect(step(held())).toMatchObject({
      rung: 3,
      action: 'revoke-token',
      scope: { kind: 'token', iss: 'https://id.example', jti: 't1' },
      tokenExp: 1_788_710_000,
    })
  })

  it('names a token without jti by subject and time of issue', () => {
    expect(step(held({ tokens: [token(null)] }))!.scope).toEqual({
      kind: 'token-issue',
      iss: 'https://id.example',
      sub: 'orders',
      iat: 1_788_700_000,
    })
  })

  it.each([
    ['fewer refused calls than set', { attempts: 9 }],
    ['a surprise below the revoke threshold', { surprise: 7.9 }],
  ])('is not taken for %s', (_, changes) => {
    expect(step(held(changes))).toBeNull()
  })

  it('is never a revocation while LEARNING, whatever the caller does', () => {
    expect(step(held({ attempts: 1e6, surprise: 300 }), 'LEARNING')).toBeNull()
    expect(evasionStep(revoked(), 'LEARNING', minted('t2'), MONDAY + 1)).toBeNull()
  })

  it('goes to the subject when the calls spread over many tokens of it', () => {
    const tokens = [
      token('t1', { events: 10 } as Partial<Token>),
      token('t2', { events: 10 } as Partial<Token>),
    ]
    expect(step(held({ tokens }))).toMatchObject({
      rung: 4,
      action: 'revoke-token',
      scope: { kind: 'subject', sub: 'orders', notBefore: null },
    })
  })

  it('goes to the credential when tokens do not tell who it is, and to a block when there is none', () => {
    const tokens = [token('t1', { sub: 'a' }), token('t2', { sub: 'b' })].map((t) => ({ ...t, events: 10 }))
    expect(step(held({ tokens, credential: 'key-7' }))).toMatchObject({
      action: 'revoke-credential',
      scope: { kind: 'credential', credential: 'key-7' },
    })
    expect(step(held({ tokens }))).toMatchObject({ rung: 4, action: 'block' })
  })

  it('does not revoke a subject for calls most of which carried no token', () => {
    const tokens = [{ ...token('t1'), events: 10 }]
    expect(step(held({ tokens, otherTokens: 10 }))!.action).toBe('block')
  })

  it('after a revoked token is its subject, at once for a newer token', () => {
    const step = { rung: 4, action: 'revoke-token', scope: { kind: 'subject', notBefore: null } }
    expect(evasion(revoked(), minted('t2'))).toMatchObject(step)
    // Claims count in whole seconds: minted within the second of the decision is minted after it.
    expect(evasion(revoked({ at: MONDAY + 999 }), minted('t2'))).toMatchObject(step)
    expect(evasion(revoked(), minted('t2', { iat: null }))).toMatchObject(step)
    expect(evasion(revoked(), minted(null))).toMatchObject(step)
  })

  it.each([
    ['the revoked token itself', revoked(), minted('t1')],
    [
      'an older token, which counts as an attempt only',
      revoked(),
      minted('t0', { iat: MONDAY / 1_000 - 60 }),
    ],
    ['a refused call', revoked(), { ...minted('t2'), refusedBy: 'curfew', status: 401 }],
    ['a call that failed', revoked(), { ...minted('t2'), status: 500 }],
    ['a call without a token', revoked(), { ...minted('t2'), token: null }],
    ['a revocation that a person lifted', revoked({ holdUntil: MONDAY }), minted('t2')],
    ['a revocation in observe mode', revoked({ mode: 'observe' }), minted('t2')],
    ['a throttle', held(), minted('t2')],
  ] as const)('is not taken at once for %s', (_, of, event) => {
    expect(evasion(of, event)).toBeNull()
  })

  it('after the subject is the credential, or the principal, for any token that still gets through', () => {
    const scope = { kind: 'subject', iss: 'https://id.example', sub: 'orders', notBefore: null } as const
    const subject = { ...revoked({ scope }), rung: 4 }
    const late = MONDAY + 10_001
    expect(evasion(subject, minted('t9'), MONDAY + 10_000)).toBeNull()
    expect(evasion(subject, minted('t9'), late)).toMatchObject({ rung: 5, action: 'block' })
    expect(evasion({ ...subject, credential: 'key-7' }, minted('t9'), late)).toMatchObject({
      rung: 5,
      action: 'revoke-credential',
      scope: { kind: 'credential', credential: 'key-7' },
    })
    expect(evasion({ ...subject, rung: 5 }, minted('t9'), late)).toBeNull()
  })

  it('does not exist beyond the subject', () => {
    expect(step(held({ rung: 4, attempts: 1e6 }))).toBeNull()
  })
})

describe('a hold that ran out', () => {
  const later = MONDAY + 3_600_001
  const none = { records: 0, requests: 0, bytes: 0, events: 0 }

  it('is not renewed by the memory of the old evidence', () => {
    expect(
      step(incident({ rung: 1, issued: issued(), since: none, attempts: 99 }), 'MATURE', later),
    ).toBeNull()
  })

  it('is renewed by fresh evidence that would have been enough for the first', () => {
    const since = { records: 120, requests: 5, bytes: 0, events: 5 }
    expect(step(incident({ rung: 1, issued: issued(), since }), 'MATURE', later)).toMatchObject({
      action: 'throttle',
    })
  })

  it('that was only observed is not renewed but goes up by attempts', () => {
    const observed = issued({ mode: 'observe' })
    const up = incident({ rung: 1, issued: observed, since: none, attempts: 10, tokens: [token('t1')] })
    expect(step(up, 'MATURE', later)).toMatchObject({ action: 'revoke-token' })
  })
})
