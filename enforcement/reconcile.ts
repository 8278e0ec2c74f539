import { setMaxListeners } from 'node:events'
import { CurfewError } from '../core/errors.ts'
import { type Clock, SECOND_MS, type WallTimeMs } from '../core/time.ts'
import { capabilityFor, type GatewayAdapter, type Rule } from './gateway.ts'
import { type Receipt, receiptDetail } from './ledger.ts'
import { effectiveRules, type Plan, plan, scopeKey } from './plan.ts'
import { backOffMs, callGateway, isRefusal, REFUSAL_PAUSE_MS } from './reconcile-call.ts'

/** The part of a logger that enforcement uses; pino has this shape. */
export interface EnforcementLogger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** How an operation at a gateway came out. `unsupported` means that this gateway can never hold the rule. */
export interface Outcome {
  readonly ruleId: string | null
  readonly operation: Receipt['operation']
  readonly outcome: Receipt['outcome']
  readonly unsupported: boolean
  readonly detail: string
}

/** Told about the work at the gateways, for metrics; must not change anything. */
export interface GatewayObserver {
  operation(gateway: string, operation: Receipt['operation'], outcome: Receipt['outcome']): void
  /** How long a gateway has differed from what is desired, ms; 0 when a look found that it agrees. */
  lag(gateway: string, ms: number): void
}

export interface ReconcilerOptions {
  readonly gateway: GatewayAdapter
  /** What should stand at this gateway now; asked after the gateway was read. */
  desired(): readonly Rule[]
  /** Asked again right before a rule is put: why not, or null. */
  objection(rule: Rule): string | null
  /** Whether rules with our mark that nobody knows stay until they expire. */
  keepsUnknown(): boolean
  /** Rules with our mark that nobody here knows: another worker may have just decided them. */
  refresh(ids: readonly string[]): Promise<void>
  onOutcome(outcome: Outcome): void
  /** These rules were seen at the gateway as they should be. */
  onHeld(ids: readonly string[]): void
  readonly clock: Clock
  readonly random: () => number
  readonly logger: EnforcementLogger
  readonly observer?: GatewayObserver
  /** Longest a single call may take. */
  readonly callTimeoutMs?: number
  /** Longest time between two looks at the gateway. */
  readonly intervalMs?: number
}

/** Calls of the fast path that may be under way at one gateway; the rest goes with the next pass. */
const MAX_FAST_CALLS = 16
/** So long after the first of some rules that were put at once comes the look that completes the picture. */
const COMPLETE_MS = SECOND_MS
/** A second look after a change, so that what a reload or a lost write swallowed is put back soon. */
const SETTLE_MS = 2 * SECOND_MS

/** Makes one gateway agree with what is desired, at its own pace: a slow one holds up nobody else. */
export class Reconciler {
  readonly gateway: GatewayAdapter
  readonly #options: ReconcilerOptions
  readonly #timeoutMs: number
  readonly #intervalMs: number
  readonly #fast = new Map<string, Promise<void>>()
  readonly #refused = new Map<string, WallTimeMs>()
  #stop: AbortSignal = new AbortController().signal
  #passing: Promise<void> | null = null
  /** Set while rules that were just put wait for the look that completes the picture. */
  #completion: NodeJS.Timeout | null = null
  #wakeUp: (() => void) | null = null
  #woken = false
  #failures = 0
  #retryAfterMs = 0
  #wakeAt: WallTimeMs | null = null
  #changed = false
  #trouble: string | null = 'not looked at yet'
  #differsSince: WallTimeMs | null = null

  constructor(options: ReconcilerOptions) {
    this.#options = options
    this.gateway = options.gateway
    this.#timeoutMs = options.callTimeoutMs ?? 5 * SECOND_MS
    this.#intervalMs = options.intervalMs ?? 30 * SECOND_MS
  }

  /** Why the gateway may disagree with what is desired, or null after a pass without failure. */
  get trouble(): string | null {
    return this.#trouble
  }

  /** Puts a new rule at once, without reading the gateway first; the next pass completes the picture. */
  put(rule: Rule): void {
    if (this.#fast.size >= MAX_FAST_CALLS || this.#fast.has(rule.id)) {
      this.wake()
      return
    }
    const call = this.#put(rule).then((done) => {
      this.#fast.delete(rule.id)
      if (done) this.#completeSoon()
      else this.wake()
    })
    this.#fast.set(rule.id, call)
  }

  /** Asks for a pass as soon as possible. */
  wake(): void {
    this.#woken = true
    this.#wakeUp?.()
  }

  /** A look reads everything that the gateway holds: rules that come one by one share one. */
  #completeSoon(): void {
    if (this.#stop.aborted) return
    this.#completion ??= setTimeout(() => {
      this.#completion = null
      this.wake()
    }, COMPLETE_MS)
  }

  /** Works until `stop`. */
  async run(stop: AbortSignal): Promise<void> {
    this.#stop = stop
    // One listener per call under way, which is bounded; all gateways share the signal.
    setMaxListeners(0, stop)
    const onStop = () => this.#wakeUp?.()
    stop.addEventListener('abort', onStop, { once: true })
    while (!stop.aborted) {
      this.#woken = false
      await this.pass()
      if (!stop.aborted) await this.#rest()
    }
    stop.removeEventListener('abort', onStop)
    if (this.#completion !== null) clearTimeout(this.#completion)
    this.#completion = null
  }

  /** One look and what it calls for; passes of one gateway never overlap. Never rejects. */
  async pass(): Promise<void> {
    while (this.#passing !== null) await this.#passing
    this.#passing = this.#pass().finally(() => {
      this.#passing = null
    })
    await this.#passing
  }

  /** Resolves when nothing is under way. */
  async drain(): Promise<void> {
    await Promise.all([...this.#fast.values(), this.#passing])
  }

  async #rest(): Promise<void> {
    const now = this.#options.clock.now()
    let pause = this.#changed ? Math.min(SETTLE_MS, this.#intervalMs) : this.#intervalMs
    if (this.#wakeAt !== null) pause = Math.min(pause, Math.max(0, this.#wakeAt - now))
    if (this.#failures > 0) pause = backOffMs(this.#failures, this.#retryAfterMs, this.#options.random)
    if (this.#woken && this.#failures === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pause)
      this.#wakeUp = () => {
        // While the gateway fails, being woken must not undo the back-off; stopping must.
        if (this.#failures > 0 && !this.#stop.aborted) return
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wakeUp = null
  }

  async #pass(): Promise<void> {
    this.#changed = false
    this.#retryAfterMs = 0
    let failed = false
    try {
      const actual = await this.#call((signal) => this.gateway.list(signal))
      this.#options.observer?.operation(this.gateway.name, 'list', 'done')
      failed = !(await this.#act(actual))
    } catch (error) {
      if (this.#stop.aborted) return
      failed = true
      this.#report(null, 'list', error)
    }
    this.#failures = failed ? this.#failures + 1 : 0
    if (!failed) this.#trouble = null
    this.#tellLag(failed)
  }

  #tellLag(differs: boolean): void {
    const now = this.#options.clock.now()
    this.#differsSince = differs ? (this.#differsSince ?? now) : null
    this.#options.observer?.lag(this.gateway.name, this.#differsSince === null ? 0 : now - this.#differsSince)
  }

  async #act(found: readonly Rule[]): Promise<boolean> {
    const { desired, known } = await this.#wanted(found)
    const now = this.#options.clock.now()
    const actual = this.#options.keepsUnknown()
      ? found.filter((rule) => rule.until <= now || known.has(rule.id))
      : found
    const holdable = desired.filter((rule) => this.#holdable(rule, now))
    const next = plan(holdable, actual, now)
    this.#wakeAt = next.wakeAt
    const putting = new Set(next.put.map((rule) => rule.id))
    this.#options.onHeld(
      effectiveRules(holdable, now)
        .map((r) => r.id)
        .filter((id) => !putting.has(id)),
    )
    return this.#carryOut(next, desired)
  }

  /** What should stand here, asked again where the gateway holds rules of ours that nobody here knows. */
  async #wanted(found: readonly Rule[]) {
    const first = this.#options.desired()
    const known = new Set(first.map((rule) => rule.id))
    const unknown = found.map((rule) => rule.id).filter((id) => !known.has(id))
    if (unknown.length === 0) return { desired: first, known }
    await this.#options.refresh(unknown)
    const desired = this.#options.desired()
    return { desired, known: new Set(desired.map((rule) => rule.id)) }
  }

  async #carryOut(next: Plan, desired: readonly Rule[]): Promise<boolean> {
    let allPut = true
    for (const rule of next.put) {
      if (this.#stop.aborted) return true
      const done = this.#fast.has(rule.id) ? false : await this.#put(rule)
      allPut &&= done
    }
    // Until every stronger rule is in force, a weaker one that is still wanted stays.
    const kept = new Set(allPut ? [] : desired.map((rule) => rule.id))
    let allRemoved = true
    for (const id of next.remove) {
      if (this.#stop.aborted || kept.has(id) || this.#rests(`remove ${id}`)) continue
      const done = await this.#remove(id)
      allRemoved &&= done
    }
    return (allPut || next.put.every((rule) => this.#fast.has(rule.id))) && allRemoved
  }

  #holdable(rule: Rule, now: WallTimeMs): boolean {
    return rule.until > now && capabilityFor(this.gateway, rule) !== null && !this.#rests(putKey(rule))
  }

  #rests(key: string): boolean {
    const until = this.#refused.get(key)
    if (until === undefined) return false
    if (until > this.#options.clock.now()) return true
    this.#refused.delete(key)
    return false
  }

  /** True unless it should be tried again soon. */
  async #put(rule: Rule): Promise<boolean> {
    if (this.#options.objection(rule) !== null) return false
    try {
      await this.#call((signal) => this.gateway.put(rule, signal))
      const lasting = capabilityFor(this.gateway, rule)?.lasting
      this.#done(rule.id, 'put', lasting === undefined ? '' : receiptDetail(`cannot be undone: ${lasting}`))
      return true
    } catch (error) {
      return this.#failed(rule.id, 'put', putKey(rule), error)
    }
  }

  async #remove(id: string): Promise<boolean> {
    try {
      await this.#call((signal) => this.gateway.remove(id, signal))
      this.#done(id, 'remove')
      return true
    } catch (error) {
      return this.#failed(id, 'remove', `remove ${id}`, error)
    }
  }

  #done(ruleId: string, operation: 'put' | 'remove', detail = ''): void {
    this.#changed = true
    this.#options.observer?.operation(this.gateway.name, operation, 'done')
    this.#options.onOutcome({ ruleId, operation, outcome: 'done', unsupported: false, detail })
  }

  #failed(ruleId: string, operation: 'put' | 'remove', key: string, error: unknown): boolean {
    if (this.#stop.aborted) return true
    this.#report(ruleId, operation, error)
    if (!isRefusal(error)) return false
    this.#refused.delete(key)
    this.#refused.set(key, (this.#options.clock.now() + REFUSAL_PAUSE_MS) as WallTimeMs)
    const oldest = this.#refused.keys().next().value
    if (this.#refused.size > 10_000 && oldest !== undefined) this.#refused.delete(oldest)
    // A refused put changes what should stand here: what it would have replaced is wanted again.
    this.wake()
    return true
  }

  #report(ruleId: string | null, operation: Receipt['operation'], error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    const code = error instanceof CurfewError ? error.code : 'GATEWAY_UNREACHABLE'
    if (error instanceof CurfewError)
      this.#retryAfterMs = Math.max(this.#retryAfterMs, error.retryAfterMs ?? 0)
    const detail = receiptDetail(`${code}: ${message}`)
    const outcome = isRefusal(error) ? 'refused' : 'failed'
    if (code !== 'GATEWAY_UNSUPPORTED') this.#trouble = detail
    this.#options.observer?.operation(this.gateway.name, operation, outcome)
    this.#options.onOutcome({
      ruleId,
      operation,
      outcome,
      unsupported: code === 'GATEWAY_UNSUPPORTED',
      detail,
    })
    const fields = { gateway: this.gateway.name, operation, rule: ruleId, detail }
    if (outcome === 'refused') this.#options.logger.error(fields, 'a gateway refused an operation')
    else this.#options.logger.warn(fields, 'a gateway operation failed and will be tried again')
  }

  #call<T>(act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return callGateway(act, this.#timeoutMs, this.#stop)
  }
}

/** The same rule with other content is another try. */
function putKey(rule: Rule): string {
  const limit = rule.limit === null ? '' : `${rule.limit.requests}/${rule.limit.windowSeconds}`
  return `put ${rule.id} ${rule.action} ${scopeKey(rule.scope)} ${limit}`
}
