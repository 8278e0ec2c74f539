import { describe, expect, it } from 'vitest'
import type { Limit, Scope } from '../../../core/decision.ts'
import type { WallTimeMs } from '../../../core/time.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import type { AskedToken, DenyQuestion } from '../../../enforcement/gateways/deny-list-index.ts'
import type { DenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { MemoryDenyStore, parseRule } from '../../../enforcement/gateways/deny-list-store.ts'
import { issueKey, subjectKey, tokenKey } from '../../../enforcement/token-keys.ts'

const never = new AbortController().signal
const ISS = 'https://id.example'
const alice = { kind: 'sub', id: 'alice', label: 'alice', verified: true } as const
const alien = { kind: 'token', iss: ISS, jti: 'of-nobody' } as const
const at = (seconds: number): WallTimeMs => wallTime(1_790_000_000_000 + seconds * 1_000)

function rule(
  action: Rule['action'],
  scope: Scope,
  options: { id?: string; limit?: Limit; until?: WallTimeMs; holder?: NonNullable<Rule['holder']> } = {},
): Rule {
  const { id = `dec_${action}`, limit = null, until = at(3_600), ...rest } = options
  return { id, action, scope, limit, until, ...rest }
}

function asking(token: Partial<AskedToken> | null, more: Partial<DenyQuestion> = {}): DenyQuestion {
  const base = { iss: ISS, sub: 'alice', jti: 'j1', iat: 1_789_999_000, exp: 1_790_003_600, malformed: false }
  return { token: token && { ...base, ...token }, principals: [], credentials: [], ...more }
}

function list(store: DenyStore = new MemoryDenyStore()): DenyList {
  return new DenyList({ name: 'deny', store, clock: { now: () => at(0) }, worstCaseDelayMs: 0 })
}

async function holding(...rules: Rule[]): Promise<DenyList> {
  const deny = list()
  for (const one of rules) await deny.put(one, never)
  return deny
}

describe('token keys', () => {
  it('cannot run into each other', () => {
    expect(tokenKey('a', 'b,c')).not.toBe(tokenKey('a,b', 'c'))
    expect(tokenKey(null, 'x')).not.toBe(tokenKey('null', 'x'))
    expect(issueKey('i', 's', 1)).not.toBe(subjectKey('i', 's'))
    expect(tokenKey('i', 'j')).toMatch(/^[0-9a-f]{64}$/)
  })
})

describe('a question that is asked again', () => {
  it('is answered by the list that is asked, as it stands now', async () => {
    const question = asking({})
    const scope = { kind: 'token', iss: ISS, jti: 'j1' } as const
    const [one, other] = [await holding(rule('revoke-token', scope)), await holding(rule('block', alien))]
    const statuses = () => [one, other].map((deny) => deny.decide(question, at(0)).status)
    expect(statuses()).toEqual([401, 200])
    await other.put(rule('revoke-token', scope), never)
    expect(statuses()).toEqual([401, 401])
    await one.remove('dec_revoke-token', never)
    expect(statuses()).toEqual([200, 401])
    expect(other.decide(question, at(3_600)).status).toBe(200)
  })
})

describe('the deny list refuses', () => {
  it('one token of one issuer and no other', async () => {
    const deny = await holding(rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' }))
    expect(deny.decide(asking({}), at(0))).toMatchObject({
      status: 401,
      reason: 'token-revoked',
      ruleId: 'dec_revoke-token',
    })
    expect(deny.decide(asking({ jti: 'j2' }), at(0)).status).toBe(200)
    expect(deny.decide(asking({ iss: 'https://other.example' }), at(0)).status).toBe(200)
    expect(deny.decide(asking({ iss: null }), at(0)).status).toBe(200)
  })

  it('a token without jti by subject and time of issue', async () => {
    const deny = await holding(rule('revoke-token', { kind: 'token-issue', iss: ISS, sub: 'alice', iat: 7 }))
    expect(deny.decide(asking({ jti: null, iat: 7 }), at(0)).status).toBe(401)
    expect(deny.decide(asking({ jti: null, iat: 8 }), at(0)).status).toBe(200)
  })

  it('a subject tokens issued before a time, and those that do not say when', async () => {
    const deny = await holding(
      rule('revoke-token', { kind: 'subject', iss: ISS, sub: 'alice', notBefore: 1_000 }),
    )
    expect(deny.decide(asking({ iat: 999 }), at(0))).toMatchObject({ status: 401, reason: 'subject-revoked' })
    expect(deny.decide(asking({ iat: 1_000 }), at(0)).status).toBe(200)
    expect(deny.decide(asking({ iat: null }), at(0)).status).toBe(401)
    expect(deny.decide(asking({ iat: 2_000, malformed: true }), at(0)).reason).toBe('unidentifiable-token')
    expect(deny.decide(asking({ sub: 'bob', iat: 1 }), at(0)).status).toBe(200)
  })

  it('whatever the issue time when no time is given', async () => {
    const deny = await holding(
      rule('revoke-token', { kind: 'subject', iss: ISS, sub: 'alice', notBefore: null }),
    )
    expect(deny.decide(asking({ iat: 1_790_000_001 }), at(0)).status).toBe(401)
  })

  it('a held caller whose token cannot be matched', async () => {
    const limit = { requests: 100, windowSeconds: 1 }
    const deny = await holding(rule('throttle', { kind: 'principal', principal: alice }, { limit }))
    const asked = (token: Partial<AskedToken>) => deny.decide(asking(token, { principals: [alice] }), at(0))
    expect(asked({}).status).toBe(200)
    for (const token of [{ exp: null }, { jti: null, iat: null }, { malformed: true }]) {
      expect(asked(token)).toMatchObject({
        status: 401,
        reason: 'unidentifiable-token',
        ruleId: 'dec_throttle',
      })
    }
    expect(deny.decide(asking({ exp: null }), at(0)).status).toBe(200)
  })

  it('the holder of a revoked token whose next token no key can match, and no other holder', async () => {
    const revoked = rule(
      'revoke-token',
      { kind: 'token', iss: ISS, jti: 'j1' },
      { holder: { kind: alice.kind, id: alice.id } },
    )
    const store = new MemoryDenyStore()
    const lists = [await holding(revoked), list(store)]
    await store.put(parseRule(revoked.id, JSON.stringify({ layout: 1, ...revoked })))
    await lists[1]!.refresh(never)
    for (const deny of lists) {
      const asked = (token: object, who: { kind: 'sub'; id: string }) =>
        deny.decide(asking(token, { principals: [who] }), at(0))
      for (const token of [
        { jti: null, iat: null },
        { jti: 'j2', exp: null },
        { jti: null, malformed: true },
      ]) {
        expect(asked(token, alice)).toMatchObject({ status: 401, reason: 'unidentifiable-token' })
        expect(asked(token, { ...alice, id: 'other' }).status).toBe(200)
      }
      expect(asked({ jti: 'j2' }, alice).status).toBe(200)
    }
    await lists[0]!.remove(revoked.id, never)
    expect(lists[0]!.decide(asking({ jti: null, iat: null }, { principals: [alice] }), at(0)).status).toBe(
      200,
    )
  })

  it('credentials and principals, the strongest rule first', async () => {
    const deny = await holding(
      rule('block', { kind: 'principal', principal: alice }),
      rule('revoke-credential', { kind: 'credential', credential: 'cred-1', principal: alice }),
    )
    expect(deny.decide(asking(null, { principals: [alice] }), at(0))).toMatchObject({
      status: 403,
      reason: 'blocked',
    })
    const both = deny.decide(asking(null, { principals: [alice], credentials: ['cred-1'] }), at(0))
    expect(both).toMatchObject({ status: 401, reason: 'credential-revoked' })
    expect(deny.decide(asking(null, { credentials: ['cred-2'] }), at(0)).status).toBe(200)
    const consumer = { kind: 'consumer', id: 'alice' } as const
    expect(deny.decide(asking(null, { principals: [consumer] }), at(0)).status).toBe(200)
  })

  it('until the entry expires, by itself', async () => {
    const deny = await holding(rule('block', { kind: 'principal', principal: alice }, { until: at(10) }))
    expect(deny.decide(asking(null, { principals: [alice] }), at(9.999)).status).toBe(403)
    expect(deny.decide(asking(null, { principals: [alice] }), at(10)).status).toBe(200)
  })
})

describe('a throttle on the deny list', () => {
  const throttle = (requests: number, windowSeconds: number) =>
    rule('throttle', { kind: 'principal', principal: alice }, { limit: { requests, windowSeconds } })
  const asked = (deny: DenyList, now: WallTimeMs) => deny.decide(asking(null, { principals: [alice] }), now)

  it('admits its share in any window and tells when to come back', async () => {
    const deny = await holding(throttle(2, 10))
    expect([0, 1, 2, 3].map((s) => asked(deny, at(s)).status)).toEqual([200, 200, 429, 429])
    expect(asked(deny, at(3))).toMatchObject({ retryAfterSeconds: 7, ruleId: 'dec_throttle' })
    expect([10, 10.5, 11].map((s) => asked(deny, at(s)).status)).toEqual([200, 429, 200])
  })

  it('keeps counting when the same rule is put again or refreshed', async () => {
    const deny = await holding(throttle(1, 10))
    expect(asked(deny, at(0)).status).toBe(200)
    await deny.put(throttle(1, 10), never)
    await deny.refresh(never)
    expect(asked(deny, at(1)).status).toBe(429)
  })

  it('of nothing refuses all, and a huge one is cut in proportion', async () => {
    const none = await holding(throttle(0, 10))
    expect(asked(none, at(0))).toMatchObject({ status: 429, retryAfterSeconds: 10 })
    const huge = await holding(throttle(1_000_000, 1_000))
    const answers = Array.from({ length: 2_000 }, () => asked(huge, at(0)).status)
    expect(answers.filter((status) => status === 200)).toHaveLength(1_024)
    expect(asked(huge, at(1.1)).status).toBe(200)
  })

  it('does not count a call that another throttle refused', async () => {
    const wide = rule(
      'throttle',
      { kind: 'subject', iss: ISS, sub: 'alice', notBefore: null },
      { id: 'dec_wide', limit: { requests: 2, windowSeconds: 100 } },
    )
    const deny = await holding(throttle(1, 10), wide)
    const ask = (s: number) => deny.decide(asking({}, { principals: [alice] }), at(s))
    expect([0, 1, 2, 11, 12].map((s) => ask(s).status)).toEqual([200, 429, 429, 200, 429])
    expect(ask(30).ruleId).toBe('dec_wide')
  })
})

describe('a deny list whose store', () => {
  it('fails keeps refusing whom it knows and says how old it is', async () => {
    const store = new MemoryDenyStore()
    const deny = list(store)
    expect(deny.refreshedAt).toBeNull()
    await store.put(rule('block', { kind: 'principal', principal: alice }))
    await deny.refresh(never)
    expect(deny.refreshedAt).toBe(at(0))
    store.load = async () => {
      throw new Error('gone')
    }
    await expect(deny.refresh(never)).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE', retriable: true })
    expect(deny.decide(asking(null, { principals: [alice] }), at(1)).status).toBe(403)
  })

  it('answers late does not undo what was put meanwhile', async () => {
    const store = new MemoryDenyStore()
    const deny = list(store)
    const old = await store.load()
    let answer: (rules: readonly Rule[]) => void = () => undefined
    store.load = () => new Promise((resolve) => (answer = resolve))
    const refreshing = deny.refresh(never)
    await deny.put(rule('block', { kind: 'principal', principal: alice }), never)
    answer(old)
    await refreshing
    expect(deny.decide(asking(null, { principals: [alice] }), at(0)).status).toBe(403)
  })

  it('tells of changes is followed at once, and following ends with its signal', async () => {
    const store = new MemoryDenyStore()
    const [here, there] = [list(store), list(store)]
    const stop = new AbortController()
    const following = there.follow(3_600_000, stop.signal, (error) => expect.fail(String(error)))
    await here.put(rule('block', { kind: 'principal', principal: alice }), never)
    await expect.poll(() => there.size).toBe(1)
    stop.abort()
    await following
  })

  it('holds damage is refused by name', () => {
    const good = { layout: 1, ...rule('block', { kind: 'principal', principal: alice }) }
    expect(parseRule('dec_block', JSON.stringify(good)).action).toBe('block')
    const broken: readonly (readonly [object, string])[] = [
      [{ layout: 2 }, 'STORE_NEWER_LAYOUT'],
      [{ id: 'other' }, 'STORE_CORRUPT'],
      [{ action: 'release' }, 'STORE_CORRUPT'],
      [{ until: '1' }, 'STORE_CORRUPT'],
      [{ scope: { kind: 'token', jti: 'x' } }, 'STORE_CORRUPT'],
      [{ limit: { requests: 1 } }, 'STORE_CORRUPT'],
    ]
    for (const [change, code] of broken) {
      expect(() => parseRule('dec_block', JSON.stringify({ ...good, ...change }))).toThrow(
        expect.objectContaining({ code }),
      )
    }
    expect(() => parseRule('dec_block', '{')).toThrow(/not JSON/)
  })
})

describe('a store that takes nothing', () => {
  class FullStore extends MemoryDenyStore {
    full = true
    override put(one: Rule): Promise<void> {
      return this.full ? Promise.reject(new Error('OOM')) : super.put(one)
    }
  }

  it('does not make a refresh forget a rule, which is saved when there is room and lifted when nobody wants it', async () => {
    const store = new FullStore()
    const deny = list(store)
    const revoked = rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' })
    await expect(deny.put(revoked, never)).rejects.toThrow('OOM')
    await deny.refresh(never)
    expect(deny.decide(asking({}), at(0)).status).toBe(401)
    expect(await deny.list(never)).toEqual([revoked])
    expect(await store.load()).toEqual([])
    store.full = false
    await deny.refresh(never)
    expect(await store.load()).toEqual([revoked])
    store.full = true
    const blocked = rule('block', { kind: 'subject', iss: ISS, sub: 'bob', notBefore: null })
    await expect(deny.put(blocked, never)).rejects.toThrow('OOM')
    await deny.remove(blocked.id, never)
    await deny.refresh(never)
    expect(await deny.list(never)).toEqual([revoked])
  })
})

describe('a store that is away', () => {
  class AwayStore extends MemoryDenyStore {
    away = false
    asked = 0
    override remove(id: string): Promise<void> {
      this.asked++
      return this.away ? Promise.reject(new Error('gone')) : super.remove(id)
    }
  }
  const revoked = rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' })
  const ask = (deny: DenyList) => deny.decide(asking({}), at(0)).status

  it('does not keep a rule in force that is lifted, nor bring it back, and gives it up when it can', async () => {
    const store = new AwayStore()
    const deny = list(store)
    await deny.put(revoked, never)
    store.away = true
    await expect(deny.remove(revoked.id, never)).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE' })
    expect(ask(deny)).toBe(200)
    await deny.refresh(never)
    expect(ask(deny)).toBe(200)
    expect(await deny.list(never)).toEqual([revoked])
    store.away = false
    await deny.refresh(never)
    await expect.poll(() => store.load()).toEqual([])
    await deny.refresh(never)
    const asked = store.asked
    await deny.refresh(never)
    expect([ask(deny), store.asked]).toEqual([200, asked])
  })

  it('does not lose a rule that is put again after its lift', async () => {
    const store = new AwayStore()
    const deny = list(store)
    await deny.put(revoked, never)
    store.away = true
    await expect(deny.remove(revoked.id, never)).rejects.toThrow('gone')
    await deny.put(revoked, never)
    store.away = false
    for (let i = 0; i < 3; i++) await deny.refresh(never)
    expect([ask(deny), await store.load()]).toEqual([401, [revoked]])
  })

  it('takes late what was lifted and put again while it did not answer, in that order', async () => {
    const store = new MemoryDenyStore()
    const deny = list(store)
    await deny.put(revoked, never)
    let back: () => void = () => undefined
    const away = new Promise<void>((resolve) => (back = resolve))
    const { remove, put } = store
    store.remove = (id) => away.then(() => remove.call(store, id))
    store.put = (one) => away.then(() => put.call(store, one))
    const lifting = deny.remove(revoked.id, never)
    expect(ask(deny)).toBe(200)
    const putting = deny.put(revoked, never)
    expect(ask(deny)).toBe(401)
    back()
    await Promise.all([lifting, putting])
    await deny.refresh(never)
    expect([ask(deny), await store.load()]).toEqual([401, [revoked]])
  })
})
