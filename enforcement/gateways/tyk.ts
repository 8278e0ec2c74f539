import { isDeepStrictEqual } from 'node:util'
import { CurfewError } from '../../core/errors.ts'
import { wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { Turns } from '../turns.ts'
import { untilAgreed } from './agreement.ts'
import { TykClient, type TykRow, tykKeyId } from './tyk-client.ts'
import { keyIdOf, marksOf } from './tyk-marks.ts'
import { agrees, lasting, stillHolds, type Written, withRules } from './tyk-plan.ts'

export interface TykOptions {
  readonly name: string
  /** Gateway API, such as `http://127.0.0.1:8080`. */
  readonly adminUrl: URL
  /** Sent as `X-Tyk-Authorization`. */
  readonly secret: string
  /** Whether Tyk keeps hashes of keys only (`hash_keys`). */
  readonly hashedKeys: boolean
  /** Whether Tyk counts rates in its Redis alone, so that a new one holds without counters that begin anew. */
  readonly countsInRedis: boolean
  /** Seconds that Tyk goes on with a session that it has read (`local_session_cache.cached_session_timeout`). */
  readonly sessionCacheSeconds: number
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
}

const SUPPORTED: readonly (readonly [Rule['action'], Capability['scope']])[] = [
  ['throttle', 'principal'],
  ['throttle', 'credential'],
  ['block', 'principal'],
  ['block', 'credential'],
  ['revoke-credential', 'principal'],
  ['revoke-credential', 'credential'],
]
/** Beyond the session cache: the call itself, and its way through Redis. */
const SPARE_MS = 1_000
/** Keys looked at side by side. */
const LOOKS = 8
/** Marks can only be found by looking at each key. */
const MAX_KEYS = 20_000

interface TykKey {
  readonly name: string
  readonly session: TykRow
}

/**
 * Tyk 5.x through its gateway API; only keys can be acted on, which for a JWT or OAuth API are the sessions that Tyk
 * keeps about its callers. A throttle is a lower `rate` of the session, its APIs and endpoints, never looser than what
 * stood there. Block and revoke-credential are `is_inactive` (403): keys are never deleted.
 *
 * A key can only be written whole and unconditionally. It is read again right before and after each write; what
 * somebody else writes between that read and the write is lost, as it is for everybody who uses that API.
 */
export class TykGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'tyk'
  readonly can: readonly Capability[]
  private readonly client: TykClient
  private readonly countsInRedis: boolean
  private readonly turns = new Turns()

  constructor(options: TykOptions) {
    const { name, sessionCacheSeconds, countsInRedis, timeoutMs = 5_000 } = options
    this.name = name
    this.countsInRedis = countsInRedis
    const worstCaseDelayMs = sessionCacheSeconds * 1_000 + SPARE_MS
    this.can = SUPPORTED.map(([action, scope]) => ({ action, scope, worstCaseDelayMs }))
    this.client = new TykClient({ ...options, timeoutMs, fetch: options.fetch ?? fetch })
  }

  /** Every rule of ours; one that was edited or taken away is listed as expired at time 0. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    return (await this.markedKeys(stop)).flatMap(({ name, session }) => {
      const marks = marksOf(name, session)
      if (marks === null) return []
      return marks.rules.map((rule) =>
        stillHolds(session, marks, rule) ? rule : { ...rule, until: wallTime(0) },
      )
    })
  }

  /** The rule is in force before a rule of the same id is looked for on other keys. */
  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const id = this.supportedKey(rule)
    await this.inTurn(async () => {
      await untilAgreed(this.name, 'key', () => this.attempt(id, rule, stop))
      await untilAgreed(this.name, 'key', () => this.lift(new Set([rule.id]), id, stop))
    })
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    await this.inTurn(() => untilAgreed(this.name, 'key', () => this.lift(new Set([id]), null, stop)))
  }

  /** Each key in one write; one that was edited is left to `remove`, which says why. */
  async removeMany(ids: ReadonlySet<string>, stop: AbortSignal): Promise<void> {
    await this.inTurn(async () => {
      for (const key of await this.markedKeys(stop)) {
        try {
          await this.liftFrom(key, ids, stop)
        } catch (error) {
          if (!(error instanceof CurfewError) || error.code !== 'GATEWAY_CONFLICT') throw error
        }
      }
    })
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.client.keyNames(stop)
  }

  private supportedKey(rule: Rule): string {
    const refuse = (why: string): never => {
      const what = `${this.name}: Tyk cannot hold ${rule.action} of a ${rule.scope.kind}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${what}: ${why}`)
    }
    if (capabilityFor(this, rule) === null) refuse('its gateway API has no such thing; use the deny list')
    if (!RULE_ID.test(rule.id)) refuse('the decision id does not fit into a mark')
    if ((rule.action === 'throttle') !== (rule.limit !== null))
      refuse('a limit goes with a throttle and with nothing else')
    return keyIdOf(rule) ?? refuse('the principal is no verified key of Tyk')
  }

  /** One try to have a rule in force; false when somebody else got in between. */
  private async attempt(id: string, rule: Rule, stop: AbortSignal): Promise<boolean> {
    const name = (await this.client.keyNames(stop)).find((one) => tykKeyId(one) === id)
    const session = name === undefined ? null : await this.client.session(name, stop)
    if (name === undefined || session === null) {
      await this.client.mustHaveStore(stop)
      throw new CurfewError('GATEWAY_REFUSED', `${this.name}: Tyk has no key ${id}`)
    }
    const next = withRules(name, session, rule, new Set(), this.countsInRedis)
    return this.write({ name, session }, next, stop)
  }

  /** Takes rules off all keys but one. */
  private async lift(ids: ReadonlySet<string>, but: string | null, stop: AbortSignal): Promise<boolean> {
    let agreed = true
    for (const key of await this.markedKeys(stop))
      if (tykKeyId(key.name) !== but && !(await this.liftFrom(key, ids, stop))) agreed = false
    return agreed
  }

  private async liftFrom(key: TykKey, ids: ReadonlySet<string>, stop: AbortSignal): Promise<boolean> {
    const rules = marksOf(key.name, key.session)?.rules ?? []
    if (!rules.some(({ id }) => ids.has(id))) return true
    return this.write(key, withRules(key.name, key.session, null, ids, this.countsInRedis), stop)
  }

  /** All keys that bear something of ours. */
  private async markedKeys(stop: AbortSignal): Promise<readonly TykKey[]> {
    const names = await this.client.keyNames(stop)
    if (names.length > MAX_KEYS) {
      const what = `Tyk has ${names.length} keys, and to find rules each of them has to be read`
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.name}: ${what}; at most ${MAX_KEYS} are`)
    }
    const marked: TykKey[] = []
    let isSure = true
    for (let from = 0; from < names.length; from += LOOKS) {
      const some = names.slice(from, from + LOOKS)
      const sessions = await Promise.all(some.map((name) => this.client.session(name, stop)))
      for (const [i, session] of sessions.entries()) {
        const name = some[i]
        if (session === null) isSure = false
        else if (name !== undefined && marksOf(name, session) !== null) marked.push({ name, session })
      }
    }
    // A key may have ended since it was listed; one that Tyk could not look up it calls unknown as well.
    if (!isSure) await this.client.mustHaveStore(stop)
    return marked
  }

  /** Writes a key that nobody has touched since, then reads it back; false when somebody has. */
  private async write({ name, session }: TykKey, next: Written, stop: AbortSignal): Promise<boolean> {
    if (isDeepStrictEqual(lasting(next.session), lasting(session))) return true
    const now = await this.client.session(name, stop)
    if (now === null || !isDeepStrictEqual(lasting(now), lasting(session))) return false
    const startsAnew = next.ratesChanged && !this.countsInRedis
    await this.client.putSession(name, lasting(next.session), startsAnew, stop)
    const after = await this.client.session(name, stop)
    return after !== null && agrees(name, after, next.session)
  }

  /** Changes of one process go one after another: Tyk has no conditional writes. */
  private inTurn(act: () => Promise<void>): Promise<void> {
    return this.turns.run('keys', act)
  }
}
