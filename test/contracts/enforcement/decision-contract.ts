import assert from 'node:assert/strict'
import { SignJWT } from 'jose'
import { describe, it } from 'vitest'
import type { Scope } from '../../../core/decision.ts'
import { wallTime } from '../../../core/time.ts'
import type { DecisionDeskOptions } from '../../../enforcement/decision-desk.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'

const NOW_S = 1_790_000_000
const ISS = 'https://id.example'
const SECRET = new TextEncoder().encode('0123456789abcdef0123456789abcdef')
const STOP = new AbortController().signal
const OWNER_AT = '192.0.2.7'
const THIEF_AT = '198.51.100.7'

/** What a gateway makes of an answer. */
export interface Outcome {
  readonly passes: boolean
  /** Null where the transport cannot tell. */
  readonly status: number | null
  /** Null for a call that passes. */
  readonly reason: string | null
  readonly ruleId: string | null
  readonly retryAfter: string | null
}

/** Names and values in turn: a name may come twice. */
export type SentHeaders = readonly string[]

/** One call that is asked about, from an address that the gateway knows. */
export type Ask = (headers: SentHeaders, address: string) => Promise<Outcome>

export interface DecisionCase {
  readonly name: string
  /** Starts a transport over these options. */
  make(options: DecisionDeskOptions): Promise<{ readonly ask: Ask; close(): Promise<void> }>
}

interface Bench {
  readonly denyList: DenyList
  readonly ask: Ask
  later(ms: number): void
}

type Check = (make: (options?: Partial<DecisionDeskOptions>) => Promise<Bench>) => Promise<void>

function signed(claims: Record<string, unknown> = {}, secret = SECRET): Promise<string> {
  const base = { iss: ISS, sub: 'alice', jti: 'j1', iat: NOW_S - 60, exp: NOW_S + 600 }
  return new SignJWT({ ...base, ...claims }).setProtectedHeader({ alg: 'HS256' }).sign(secret)
}

const forged = () => signed({}, new TextEncoder().encode('f'.repeat(32)))
const bearer = (token: string): SentHeaders => ['authorization', `Bearer ${token}`]

function rule(action: Rule['action'], scope: Scope, limit: Rule['limit'] = null): Rule {
  return { id: 'dec_1', action, scope, limit, until: wallTime((NOW_S + 3_600) * 1_000) }
}

const alice = { kind: 'sub', id: 'alice', label: 'alice', verified: true } as const
const REVOKED = rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' })
const throttle = (requests: number) =>
  rule('throttle', { kind: 'principal', principal: alice }, { requests, windowSeconds: 10 })

/** Compares with what every transport can tell. */
function isRefused(outcome: Outcome, status: number, reason: string, ruleId: string | null): void {
  const { passes, reason: why, ruleId: by } = outcome
  assert.deepEqual({ passes, why, by }, { passes: false, why: reason, by: ruleId })
  if (outcome.status !== null) assert.equal(outcome.status, status)
}

const PASSED: Omit<Outcome, 'status'> = { passes: true, reason: null, ruleId: null, retryAfter: null }

function passed({ status, ...outcome }: Outcome): void {
  assert.deepEqual(outcome, PASSED)
  if (status !== null) assert.equal(status, 200)
}

const CHECKS = {
  'lets a verified caller pass, and refuses a forged, an expired and no token': async (make) => {
    const { ask } = await make()
    passed(await ask(bearer(await signed()), OWNER_AT))
    isRefused(await ask(bearer(await forged()), OWNER_AT), 401, 'bad-signature', null)
    isRefused(await ask(bearer(await signed({ exp: NOW_S - 60 })), OWNER_AT), 401, 'expired', null)
    isRefused(await ask([], OWNER_AT), 401, 'no-identity', null)
  },
  'asks the list before the signature, names the decision, and forgets it when it is lifted': async (
    make,
  ) => {
    const { ask, denyList } = await make()
    await denyList.put(REVOKED, STOP)
    isRefused(await ask(bearer(await signed()), OWNER_AT), 401, 'token-revoked', 'dec_1')
    isRefused(await ask(bearer(await forged()), OWNER_AT), 401, 'token-revoked', 'dec_1')
    passed(await ask(bearer(await signed({ jti: 'j2' })), OWNER_AT))
    await denyList.remove('dec_1', STOP)
    passed(await ask(bearer(await signed()), OWNER_AT))
  },
  'lets a throttle pass what it leaves, says when to come back, and counts no forged token': async (make) => {
    const { ask, denyList, later } = await make()
    await denyList.put(throttle(2), STOP)
    for (let i = 0; i < 4; i++)
      isRefused(await ask(bearer(await forged()), OWNER_AT), 401, 'bad-signature', null)
    const token = bearer(await signed())
    passed(await ask(token, OWNER_AT))
    passed(await ask(token, OWNER_AT))
    const limited = await ask(token, OWNER_AT)
    isRefused(limited, 429, 'throttled', 'dec_1')
    assert.equal(limited.retryAfter, '10')
    later(10_000)
    await denyList.refresh(STOP)
    passed(await ask(token, OWNER_AT))
  },
  'lets exactly one of many simultaneous calls pass a throttle of one': async (make) => {
    const { ask, denyList } = await make()
    await denyList.put(throttle(1), STOP)
    const token = bearer(await signed())
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => ask(token, OWNER_AT)))
    assert.equal(outcomes.filter(({ passes }) => passes).length, 1)
  },
  'refuses a call in which two readers could find two callers': async (make) => {
    const { ask } = await make({ trustHeaders: { consumer: 'x-consumer-id', credential: null } })
    const [one, two] = [bearer(await signed()), bearer(await signed({ jti: 'j2' }))]
    const consumer = ['x-consumer-id', 'c-1', 'x-consumer-id', 'c-2']
    for (const [what, headers] of [
      ['two tokens', [...one, ...two]],
      ['a scheme and a token', ['authorization', 'Basic eDp5', ...one]],
      ['a token and none', [...one, 'authorization', (await signed({ jti: 'j3' })).slice(0, 40)]],
      ['two consumers', consumer],
      ['a token within another scheme', ['authorization', `X ${one[1]}`]],
    ] as const) {
      const outcome = await ask(headers, OWNER_AT)
      assert.equal(outcome.passes, false, what)
      if (outcome.status !== null) assert.equal(outcome.status, 401, what)
    }
  },
  'believes identity headers only when told to': async (make) => {
    const principal = { kind: 'consumer', id: 'c-1', label: 'c', verified: true } as const
    const blocked = rule('block', { kind: 'principal', principal })
    const { ask, denyList } = await make()
    await denyList.put(blocked, STOP)
    isRefused(await ask(['x-consumer-id', 'c-1'], OWNER_AT), 401, 'no-identity', null)
    const told = await make({ trustHeaders: { consumer: 'x-consumer-id', credential: null } })
    await told.denyList.put(blocked, STOP)
    isRefused(await told.ask(['x-consumer-id', 'c-1'], OWNER_AT), 403, 'blocked', 'dec_1')
    passed(await told.ask(['x-consumer-id', 'c-2'], OWNER_AT))
  },
  'refuses a caller in one network, whatever address it claims': async (make) => {
    const { ask, denyList } = await make()
    await denyList.put(rule('block', { kind: 'network', network: '198.51.100.0', principal: alice }), STOP)
    const token = bearer(await signed())
    const claim = (address: string) => ['x-forwarded-for', address, 'x-real-ip', address]
    isRefused(await ask([...token, ...claim(OWNER_AT)], THIEF_AT), 403, 'blocked', 'dec_1')
    passed(await ask([...token, ...claim(THIEF_AT)], OWNER_AT))
    passed(await ask(bearer(await signed({ sub: 'bob', jti: 'j2' })), THIEF_AT))
  },
  'fails closed when its list is stale, and refuses whom it knows all the same': async (make) => {
    const { ask, denyList, later } = await make()
    await denyList.put(REVOKED, STOP)
    later(10_001)
    isRefused(await ask(bearer(await signed({ jti: 'j2' })), OWNER_AT), 503, 'deny-list-stale', null)
    isRefused(await ask(bearer(await signed()), OWNER_AT), 401, 'token-revoked', 'dec_1')
    const open = await make({ failMode: 'open' })
    await open.denyList.put(REVOKED, STOP)
    open.later(10_001)
    passed(await open.ask(bearer(await signed({ jti: 'j2' })), OWNER_AT))
    isRefused(await open.ask(bearer(await signed()), OWNER_AT), 401, 'token-revoked', 'dec_1')
  },
} satisfies Readonly<Record<string, Check>>

export type DecisionCheckName = keyof typeof CHECKS

export const DECISION_CHECKS = Object.keys(CHECKS) as DecisionCheckName[]

/** Runs one check against fresh transports; throws where it fails. */
export async function runDecisionCheck(name: DecisionCheckName, of: DecisionCase): Promise<void> {
  const closing: (() => Promise<void>)[] = []
  const make = async (options: Partial<DecisionDeskOptions> = {}): Promise<Bench> => {
    let now = NOW_S * 1_000
    const clock = { now: () => wallTime(now) }
    const denyList = new DenyList({
      name: 'deny',
      store: new MemoryDenyStore(),
      clock,
      worstCaseDelayMs: 0,
      knowsAddress: true,
    })
    await denyList.refresh(STOP)
    const { ask, close } = await of.make({
      denyList,
      clock,
      issuers: [
        { issuer: ISS, audience: null, keys: [{ kind: 'secret', algorithm: 'HS256', secret: SECRET }] },
      ],
      requireIdentity: true,
      trustHeaders: null,
      apiKeyHeader: null,
      failMode: 'closed',
      maxStaleMs: 10_000,
      ...options,
    })
    closing.push(close)
    const later = (ms: number) => {
      now += ms
    }
    return { denyList, ask, later }
  }
  try {
    await CHECKS[name](make)
  } finally {
    for (const close of closing) await close()
  }
}

/** What every way of asking for a decision must do. */
export function decisionContract(of: DecisionCase): void {
  describe(`decision contract: ${of.name}`, () => {
    it.each(DECISION_CHECKS)('%s', (name) => runDecisionCheck(name, of))
  })
}
