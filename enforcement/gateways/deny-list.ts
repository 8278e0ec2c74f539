import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../../core/errors.ts'
import type { Clock, WallTimeMs } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor } from '../gateway.ts'
import type { DenyAnswer, DenyQuestion } from './deny-list-index.ts'
import { DenyIndex } from './deny-list-index.ts'
import type { DenyStore } from './deny-list-store.ts'

/** Rules held at once; beyond it a new one is refused instead of an old one forgotten. */
export const MAX_DENY_RULES = 100_000

export interface DenyListOptions {
  readonly name: string
  readonly store: DenyStore
  readonly clock: Clock
  /** How long another process may take to hear of a change: the refresh interval, 0 within one process. */
  readonly worstCaseDelayMs: number
  /**
   * False where the askers have not verified the tokens that they ask about: callers who are known by claims only
   * are then not throttled, as anybody could use up what they are left. True when not given.
   */
  readonly claimsVerified?: boolean
  /** Whether the askers tell from where a call comes. False when not given. */
  readonly knowsAddress?: boolean
}

const SUPPORTED: readonly (readonly [Rule['action'], Capability['scope']])[] = [
  ['throttle', 'principal'],
  ['throttle', 'subject'],
  ['throttle', 'credential'],
  ['throttle', 'token'],
  ['throttle', 'token-issue'],
  ['block', 'principal'],
  ['block', 'subject'],
  ['block', 'credential'],
  ['block', 'token'],
  ['block', 'token-issue'],
  ['block', 'network'],
  ['revoke-token', 'token'],
  ['revoke-token', 'token-issue'],
  ['revoke-token', 'subject'],
  ['revoke-credential', 'credential'],
  ['revoke-credential', 'principal'],
]

/** Scopes that only claims tell. */
const TOKEN_SCOPES: readonly Capability['scope'][] = ['token', 'token-issue', 'subject']

/**
 * The deny list that we own: what no gateway's admin API can do (refuse one token, a subject's tokens
 * issued before a time), asked by gateways call by call. A local copy answers; `refresh` renews it.
 */
export class DenyList implements GatewayAdapter {
  readonly name: string
  readonly kind = 'decision'
  readonly can: readonly Capability[]
  private readonly store: DenyStore
  private readonly clock: Clock
  private readonly claimsVerified: boolean
  private readonly index = new DenyIndex()
  /** Changes made here while a load was under way, applied over its result: null is a removal. */
  private readonly loading = new Set<Map<string, Rule | null>>()
  /** In force here and not in the store yet: what a store that is lost or full does not know is refused all the same. */
  private readonly unsaved = new Map<string, Rule>()
  private readonly saving = new Set<Rule>()
  /** Lifted here and not in the store yet: what its copy still says does not come back. */
  private readonly lifted = new Set<string>()
  private readonly removing = new Map<string, Promise<void>>()
  private refreshed: WallTimeMs | null = null

  constructor(options: DenyListOptions) {
    this.name = options.name
    this.store = options.store
    this.clock = options.clock
    this.claimsVerified = options.claimsVerified ?? true
    this.can = SUPPORTED.filter(
      ([action, scope]) =>
        (action !== 'throttle' || this.claimsVerified || !TOKEN_SCOPES.includes(scope)) &&
        (scope !== 'network' || options.knowsAddress === true),
    ).map(([action, scope]) => ({ action, scope, worstCaseDelayMs: options.worstCaseDelayMs }))
  }

  /** When the local copy last agreed with the store; null before the first time. */
  get refreshedAt(): WallTimeMs | null {
    return this.refreshed
  }

  /** Rules in the local copy, expired ones included until they are removed. */
  get size(): number {
    return this.index.size
  }

  /** What is refused here: the store's rules, and those that it has not taken yet. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const stored = await this.ask(stop, () => this.store.load(stop))
    if (this.unsaved.size === 0) return stored
    return [...stored.filter((rule) => !this.unsaved.has(rule.id)), ...this.unsaved.values()]
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    if (capabilityFor(this, rule) === null || (rule.action === 'throttle') !== (rule.limit !== null)) {
      const what = `${rule.action} of a ${rule.scope.kind}${rule.limit === null ? '' : ' with a limit'}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.name}: the deny list cannot hold ${what}`)
    }
    if (rule.action === 'throttle' && !this.claimsVerified && isKnownByClaims(rule)) {
      const why = 'nobody verifies its tokens, so others could use up its share'
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.name}: cannot throttle a caller by claims: ${why}`)
    }
    if (this.index.size >= MAX_DENY_RULES) {
      throw new CurfewError(
        'GATEWAY_REFUSED',
        `${this.name}: the deny list is full (${MAX_DENY_RULES} rules)`,
      )
    }
    // In force here before it is durable: until then the caller's retry covers a crash, and refusing waits for no disk.
    this.index.put(rule)
    this.unsaved.set(rule.id, rule)
    this.lifted.delete(rule.id)
    // The store takes changes in turn: a removal that still waits there comes before this.
    this.removing.delete(rule.id)
    for (const changes of this.loading) changes.set(rule.id, rule)
    await this.ask(stop, () => this.save(rule, stop))
  }

  private async save(rule: Rule, stop: AbortSignal): Promise<void> {
    this.saving.add(rule)
    try {
      await this.store.put(rule, stop)
      if (this.unsaved.get(rule.id) === rule) this.unsaved.delete(rule.id)
    } finally {
      this.saving.delete(rule)
    }
  }

  /** Tries again what the store would not take, and forgets what has ended. */
  private resave(stored: ReadonlySet<string>, stop: AbortSignal): void {
    const now = this.clock.now()
    for (const id of this.lifted) {
      if (!stored.has(id) && !this.removing.has(id)) this.lifted.delete(id)
      else this.erase(id, stop).catch(() => undefined)
    }
    for (const rule of this.unsaved.values()) {
      if (rule.until <= now) this.unsaved.delete(rule.id)
      // A failure shows in the next refresh, which tries again.
      else if (!this.saving.has(rule)) this.save(rule, stop).catch(() => undefined)
    }
  }

  /** Lifted here at once; throws while the store has not taken it, and tries on by itself. */
  async remove(id: string, stop: AbortSignal): Promise<void> {
    if (stop.aborted) throw this.aborted(stop)
    this.unsaved.delete(id)
    this.index.remove(id)
    this.lifted.add(id)
    for (const changes of this.loading) changes.set(id, null)
    await this.ask(stop, () => this.erase(id, stop))
  }

  /** One removal at a time: a store that is away must not collect them. */
  private erase(id: string, stop: AbortSignal): Promise<void> {
    const under = this.removing.get(id)
    if (under !== undefined) return under
    const removal = this.store
      .remove(id, stop)
      .then(() => {
        if (this.removing.get(id) === removal) this.lifted.delete(id)
      })
      .finally(() => {
        if (this.removing.get(id) === removal) this.removing.delete(id)
      })
    this.removing.set(id, removal)
    return removal
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.ask(stop, () => this.store.check(stop))
  }

  /** Makes the local copy agree with the store; on failure the copy stays as it is, and keeps refusing. */
  async refresh(stop: AbortSignal): Promise<void> {
    const changes = new Map<string, Rule | null>()
    const asked = this.clock.now()
    this.loading.add(changes)
    try {
      const rules = await this.list(stop)
      this.index.replace(rules)
      for (const [id, rule] of changes) {
        if (rule === null) this.index.remove(id)
        else this.index.put(rule)
      }
      for (const id of this.lifted) this.index.remove(id)
      this.refreshed = asked
      this.resave(new Set(rules.map(({ id }) => id)), stop)
    } finally {
      this.loading.delete(changes)
    }
  }

  /** Refreshes at once, every `everyMs` and when the store tells of a change, until `stop`. Never throws. */
  async follow(everyMs: number, stop: AbortSignal, failed: (error: unknown) => void): Promise<void> {
    let wake = new AbortController()
    const unwatch = this.store.watch?.(() => wake.abort())
    stop.addEventListener('abort', () => wake.abort(), { once: true })
    while (!stop.aborted) {
      wake = new AbortController()
      if (stop.aborted) break
      await this.refresh(stop).catch((error: unknown) => {
        if (!stop.aborted) failed(error)
      })
      await sleep(everyMs, undefined, { signal: wake.signal }).catch(() => undefined)
    }
    unwatch?.()
  }

  /** Refusals that need no counting; see {@link DenyIndex.refusal}. */
  refusal(question: DenyQuestion, now: WallTimeMs): DenyAnswer | null {
    return this.index.refusal(question, now)
  }

  /** Counts a call against its caller's throttles; see {@link DenyIndex.admit}. */
  admit(question: DenyQuestion, now: WallTimeMs): DenyAnswer {
    return this.index.admit(question, now)
  }

  /** Both in one: for an asker whose claims are verified already. Same list, counts and `now`, same answer. */
  decide(question: DenyQuestion, now: WallTimeMs): DenyAnswer {
    return this.refusal(question, now) ?? this.admit(question, now)
  }

  private aborted(stop: AbortSignal): CurfewError {
    return new CurfewError('ABORTED', `${this.name}: aborted`, { cause: stop.reason })
  }

  private async ask<T>(stop: AbortSignal, call: () => Promise<T>): Promise<T> {
    if (stop.aborted) throw this.aborted(stop)
    let aborted: (() => void) | undefined
    const cut = new Promise<never>((_, reject) => {
      aborted = () => reject(this.aborted(stop))
      stop.addEventListener('abort', aborted, { once: true })
    })
    try {
      return await Promise.race([call(), cut])
    } catch (cause) {
      if (cause instanceof CurfewError && (cause.code === 'ABORTED' || cause.code === 'STORE_CORRUPT'))
        throw cause
      const why = cause instanceof Error ? cause.message : 'unknown failure'
      throw new CurfewError('GATEWAY_UNREACHABLE', `${this.name}: deny list store: ${why}`, {
        retriable: true,
        cause,
      })
    } finally {
      if (aborted !== undefined) stop.removeEventListener('abort', aborted)
    }
  }
}

function isKnownByClaims({ scope }: Rule): boolean {
  return scope.kind === 'principal' && scope.principal.kind === 'sub'
}
