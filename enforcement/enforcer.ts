import type { ApprovalTimeout, Decision, HoldProof } from '../core/decision.ts'
import { decisionIdOf } from './aliases.ts'
import { Admission } from './enforcer-admission.ts'
import {
  effectiveBy,
  type Hold,
  holdEnd,
  principalKey,
  receiptOf,
  rungsBelow,
  staleReason,
  supersedes,
  viewOf,
  withHold,
} from './enforcer-judgement.ts'
import { type EnforcerOptions, paceOf } from './enforcer-options.ts'
import type { GatewayAdapter, Rule } from './gateway.ts'
import { withProof } from './hold-proof.ts'
import { Holds } from './holds.ts'
import {
  type ChangeOutcome,
  conflict,
  type EnforcementStatus,
  type EnforcementView,
  isLive,
  type LedgerEntry,
  notFound,
  withReceipt,
} from './ledger.ts'
import { EntryBook } from './ledger-book.ts'
import { Placement } from './placement.ts'
import { type Outcome, Reconciler } from './reconcile.ts'
import { Turns } from './turns.ts'

/** Turns decisions into rules at gateways and back, and knows at any time where each one stands. */
export class Enforcer {
  readonly #options: EnforcerOptions
  readonly #admission: Admission
  readonly #book: EntryBook
  readonly #accepting = new Map<string, Promise<void>>()
  /** What is decided or changed about a caller finds what the change before it left. */
  readonly #turns = new Turns()
  readonly #reconcilers: readonly Reconciler[]
  readonly #placement: Placement
  readonly #holds: Holds
  #loaded = false
  #running: Promise<void> = Promise.resolve()

  constructor(options: EnforcerOptions) {
    this.#options = options
    this.#book = new EntryBook(options.ledger, options.logger, options.onChange ?? (() => undefined))
    this.#placement = new Placement(options.gateways, options.onlyFor, options.aliases)
    this.#holds = new Holds(this.#placement)
    this.#admission = new Admission(options, this.#book, this.#placement)
    this.#reconcilers = options.gateways.map((gateway) => this.#reconcilerFor(gateway))
  }

  #reconcilerFor(gateway: GatewayAdapter): Reconciler {
    return new Reconciler({
      gateway,
      desired: () => this.#desired(gateway),
      objection: (rule) => this.#objection(decisionIdOf(rule.id)),
      keepsUnknown: this.#options.keepsUnknownRules ?? (() => false),
      refresh: (ids) => this.#refresh(ids),
      onOutcome: (outcome) => this.#onOutcome(gateway, outcome),
      onHeld: (ids) => {
        for (const id of ids) this.#mark(id, gateway.name, 'held')
      },
      ...paceOf(this.#options),
    })
  }

  /** Reads the ledger. Needed once before anything else; throws what the ledger throws. */
  async load(): Promise<void> {
    for (const entry of await this.#options.ledger.load()) {
      this.#book.remember(entry)
      if (entry.issuedAt !== null) this.#admission.noteRestriction(entry, entry.issuedAt)
    }
    // A crash may have come between the note of a release and what it was to lift.
    for (const entry of [...this.#book.values()]) {
      const open = isLive(entry.status) || entry.status === 'awaiting-approval'
      const reason = open ? this.#admission.lifted(entry.decision) : null
      if (reason !== null) this.#end(entry, 'released', reason)
    }
    this.#loaded = true
    this.#expire()
  }

  /** Keeps the gateways in agreement with the decisions until `stop`. Returns at once; see {@link drain}. */
  start(stop: AbortSignal): void {
    if (!this.#loaded) throw new Error('load() comes before start()')
    this.#running = Promise.all(this.#reconcilers.map((r) => r.run(stop))).then(() => undefined)
  }

  /** Resolves when `start`'s work has ended after its `stop`, and all that was under way is on record. */
  async drain(): Promise<void> {
    await this.#running
    await Promise.all(this.#reconcilers.map((r) => r.drain()))
    await this.#book.settled()
  }

  /**
   * Takes a decision that the outbox holds already, once per id: the gateways are asked at once, while the ledger
   * saves it. Resolves when it is saved. Rejects when the ledger cannot save it; the same call may be repeated
   * and then saves what has become of it.
   */
  async accept(decision: Decision): Promise<'new' | 'known'> {
    const under = this.#accepting.get(decision.id)
    if (under !== undefined) {
      await under
      return 'known'
    }
    if (this.#book.get(decision.id) !== undefined)
      return (await this.#book.resave(decision.id)) ? 'new' : 'known'
    const admission = this.#turns.run(principalKey(decision), () => this.#admit(decision))
    this.#accepting.set(decision.id, admission)
    try {
      await admission
    } finally {
      this.#accepting.delete(decision.id)
    }
    return 'new'
  }

  async #admit(decision: Decision): Promise<void> {
    this.#expire()
    const now = this.#options.clock.now()
    const entry = this.#admission.judge(decision, now)
    // Noted before the save, so that decisions arriving together cannot pass the guard together.
    if (entry.issuedAt !== null) this.#admission.noteRestriction(entry, now)
    if (entry.status === 'pending') {
      const saving = this.#book.begin(entry)
      this.#act(entry)
      return saving
    }
    await this.#book.save(entry)
    if (decision.action === 'release') await this.#releaseMatching(decision)
  }

  /** See {@link EntryBook.forgetEnded}. */
  forgetEnded = (before: number): Promise<void> => this.#book.forgetEnded(before)
  /** See {@link EntryBook.forgetPrincipal}; `key` is a `profileKey`. */
  forgetPrincipal = (key: string) => this.#turns.run(key, () => this.#book.forgetPrincipal(key))

  #act(entry: LedgerEntry): void {
    for (const reconciler of this.#reconcilers)
      for (const rule of this.#placement.rulesAt(reconciler.gateway, entry)) reconciler.put(rule)
  }

  /** Ends what has run out, whatever the gateways do. */
  #expire(): void {
    for (const entry of this.#book.due(this.#options.clock.now())) {
      this.#end(entry, 'expired', isLive(entry.status) ? null : 'nobody approved it in time')
    }
  }

  #end(entry: LedgerEntry, status: EnforcementStatus, statusReason: string | null): void {
    this.#holds.forget(entry.decision.id)
    this.#book.update({ ...entry, status, statusReason })
  }

  #desired(gateway: GatewayAdapter): readonly Rule[] {
    this.#expire()
    return [...this.#book.open()].flatMap((entry) => {
      const rules = isLive(entry.status) ? this.#placement.rulesAt(gateway, entry) : []
      return rules.length > 0 && this.#objection(entry.decision.id) === null ? rules : []
    })
  }

  /** The last check before a gateway is asked to hold a rule. */
  #objection(id: string): string | null {
    const entry = this.#book.get(id)
    if (entry === undefined || !isLive(entry.status)) return 'no longer wanted'
    const fresh = entry.approved || entry.startedAt.length > 0
    const stale = fresh
      ? null
      : staleReason(entry.decision, this.#options.clock.now(), this.#admission.maxEvidenceAgeMs)
    // What stands goes on only while nobody wants everything lifted, whether the ledger can be written or not.
    const stands = entry.startedAt.length > 0 && !(this.#options.liftsAll?.() ?? false)
    const latched = stands ? null : this.#admission.latched()
    // Who was held before planned work began stays held, and a person who agreed knew of it.
    const planned = fresh ? null : this.#admission.plannedReason(entry.decision)
    const reason = this.#admission.allowReason(entry.decision) ?? latched ?? planned ?? stale
    if (reason !== null) this.#end(entry, 'withheld', reason)
    return reason
  }

  async #refresh(ids: readonly string[]): Promise<void> {
    if (ids.every((id) => this.#book.get(decisionIdOf(id)) !== undefined)) return
    for (const entry of await this.#options.ledger.load()) {
      if (this.#book.get(entry.decision.id) === undefined) this.#book.remember(entry)
    }
  }

  #onOutcome(gateway: GatewayAdapter, outcome: Outcome): void {
    const { ruleId, operation } = outcome
    const now = this.#options.clock.now()
    if (ruleId !== null) {
      const entry = this.#book.get(decisionIdOf(ruleId))
      const as = entry === undefined ? null : this.#placement.nameOf(gateway, entry.decision, ruleId)
      if (entry !== undefined)
        this.#book.update(withReceipt(entry, receiptOf(gateway.name, outcome, now, as)))
      if (operation !== 'put') return
      const failure = outcome.unsupported ? 'unsupported' : 'failed'
      this.#mark(ruleId, gateway.name, outcome.outcome === 'done' ? 'held' : failure)
      return
    }
    // The gateway could not be read: whoever waits for it should see why.
    const receipt = receiptOf(gateway.name, outcome, now)
    for (const entry of this.#book.open()) {
      const waits = entry.status === 'pending' || entry.status === 'failed'
      if (waits && this.#placement.formsAt(gateway, entry.decision).length > 0)
        this.#book.update(withReceipt(entry, receipt))
    }
  }

  #mark(ruleId: string, gateway: string, hold: Hold): void {
    const id = decisionIdOf(ruleId)
    const entry = this.#book.get(id)
    if (entry === undefined || !isLive(entry.status)) return
    const isNews = this.#holds.mark(id, gateway, ruleId, hold)
    // Each look at a gateway confirms all that stands there: what is as it was needs no new judgement.
    const next =
      isNews || entry.status !== 'in-force'
        ? withHold(entry, gateway, hold, this.#placement, (one) => this.#holds.at(one, entry))
        : entry
    if (next !== entry) this.#book.update(next)
    if (next.status === 'in-force') this.#supersede(id)
  }

  /** Weaker rungs end once a stronger one is in force wherever, and under whatever name, they were. */
  #supersede(id: string): void {
    const strong = this.#book.get(id)
    if (strong === undefined) return
    for (const weak of this.#book.ofPrincipal(strong.decision)) {
      if (!isLive(weak.status) || !supersedes(strong, weak) || supersedes(weak, strong)) continue
      const targets = this.#placement.targets(weak.decision)
      if (!targets.every((gateway) => this.#holds.replaces(gateway, strong, weak))) continue
      this.#end(weak, 'superseded', `${strong.decision.action} ${id} is in force`)
      this.recheck()
    }
  }

  async #releaseMatching(release: Decision): Promise<void> {
    const open = this.#book.ofPrincipal(release).filter((entry) => {
      const { decision, status } = entry
      return decision.incident === release.incident && (isLive(status) || status === 'awaiting-approval')
    })
    for (const entry of open) await this.#release(entry, release.reason)
    this.recheck()
  }

  async #release(entry: LedgerEntry, reason: string): Promise<void> {
    await this.#book.save({ ...entry, status: 'released', statusReason: reason })
    this.#holds.forget(entry.decision.id)
  }

  /** Lifts a decision, and with it the weaker rungs of the same incident and principal. */
  release(id: string, reason: string): Promise<ChangeOutcome> {
    return this.#change(id, (entry) => this.#lift(entry, reason))
  }

  #change(id: string, change: (entry: LedgerEntry) => Promise<ChangeOutcome>): Promise<ChangeOutcome> {
    this.#expire()
    const known = this.#book.get(id)
    if (known === undefined) return Promise.resolve(notFound(id))
    return this.#turns.run(principalKey(known.decision), () => change(this.#book.get(id) ?? known))
  }

  async #lift(entry: LedgerEntry, reason: string): Promise<ChangeOutcome> {
    const { id } = entry.decision
    const open = isLive(entry.status) || entry.status === 'awaiting-approval'
    if (!open) return conflict(`decision ${id} is ${entry.status}`)
    const rungs = rungsBelow(entry, this.#book.ofPrincipal(entry.decision))
    await this.#release(entry, reason)
    for (const rung of rungs)
      await this.#release(this.#book.get(rung.decision.id) ?? rung, `lifted with ${id}: ${reason}`)
    this.recheck()
    return this.#outcome(id)
  }

  /** Moves the end of a hold to `holdSeconds` from now, at most 7 days, and no later than the token lives. */
  extend(id: string, holdSeconds: number): Promise<ChangeOutcome> {
    return this.#change(id, (entry) => this.#lengthen(entry, holdSeconds))
  }

  async #lengthen(entry: LedgerEntry, holdSeconds: number): Promise<ChangeOutcome> {
    const { id } = entry.decision
    if (!isLive(entry.status)) return conflict(`decision ${id} is ${entry.status}`)
    const now = this.#options.clock.now()
    const until = holdEnd(entry.decision, now, holdSeconds, this.#admission.maxTokenSeconds)
    if (!(until > now)) return conflict('the new end is not in the future')
    const next = { ...entry, until }
    await this.#book.save(next)
    this.#act(next)
    return this.#outcome(id)
  }

  /** A person agrees to a waiting decision: it acts now. The allow list still holds. */
  approve(id: string): Promise<ChangeOutcome> {
    return this.#change(id, (entry) => this.#start(entry))
  }

  async #start(entry: LedgerEntry): Promise<ChangeOutcome> {
    const { id } = entry.decision
    if (entry.status !== 'awaiting-approval') return conflict(`decision ${id} is ${entry.status}`)
    const now = this.#options.clock.now()
    const next = this.#admission.agree(entry, now)
    if (typeof next === 'string') return conflict(next)
    await this.#begin(next, now)
    return this.#outcome(id)
  }

  async #begin(entry: LedgerEntry, now: number): Promise<void> {
    await this.#book.save(entry)
    if (entry.status !== 'pending') return
    this.#admission.noteRestriction(entry, now)
    this.#act(entry)
  }

  /** Takes what the engine says about a decision that nobody agreed to in time; nothing for one that no longer waits. */
  async noteTimeout(timeout: ApprovalTimeout): Promise<void> {
    await this.#change(timeout.decision, async (entry) => {
      const { id } = entry.decision
      const now = this.#options.clock.now()
      if (entry.status === 'awaiting-approval')
        await this.#begin(this.#admission.timedOut(entry, timeout, now), now)
      return this.#outcome(id)
    })
  }

  /**
   * Lifts everything: every decision that stands or waits ends, and each gateway is asked at once to drop all
   * rules with our mark. Returns the gateways that could not be brought to agree yet; they are tried on.
   */
  async liftAll(reason: string): Promise<readonly { readonly gateway: string; readonly trouble: string }[]> {
    for (const entry of this.#book.open()) {
      await this.#release(entry, reason)
    }
    await Promise.all(this.#reconcilers.map((r) => r.drain().then(() => r.pass())))
    this.recheck()
    return this.troubles()
  }

  /** Takes what the traffic showed about a decision; one that nobody knows any more is passed over. */
  noteProof(proof: HoldProof): void {
    const entry = this.#book.get(proof.decision)
    if (entry === undefined) return
    const next = withProof(entry, proof, effectiveBy(entry, this.#placement))
    if (next === null) return
    this.#book.update(next)
    if (proof.proof === 'leaking') this.#options.onLeak?.(this.#viewOf(next))
  }

  /** Asks again at every gateway what may stand, at once. */
  recheck(): void {
    for (const reconciler of this.#reconcilers) reconciler.wake()
  }

  /** Gateways that may disagree with what is desired, and why. */
  troubles(): readonly { readonly gateway: string; readonly trouble: string }[] {
    return this.#reconcilers.flatMap(({ gateway, trouble }) =>
      trouble === null ? [] : [{ gateway: gateway.name, trouble }],
    )
  }

  /** A decision by its id or by that of a rule of it. */
  view(id: string): EnforcementView | null {
    this.#expire()
    const entry = this.#book.get(decisionIdOf(id))
    return entry === undefined ? null : this.#viewOf(entry)
  }

  /** Every decision that is remembered, oldest first. */
  views(): readonly EnforcementView[] {
    this.#expire()
    return [...this.#book.values()].map((entry) => this.#viewOf(entry))
  }

  /** The decisions of one incident that are remembered, oldest first. */
  viewsOf(incident: string): readonly EnforcementView[] {
    this.#expire()
    return this.#book.ofIncident(incident).map((entry) => this.#viewOf(entry))
  }

  #outcome(id: string): ChangeOutcome {
    const value = this.view(id)
    return value === null ? notFound(id) : { ok: true, value }
  }

  #viewOf(entry: LedgerEntry): EnforcementView {
    return viewOf(entry, this.#placement, this.#holds.aliases(entry))
  }
}

/** Creates an {@link Enforcer}; call `load()`, then `start()`. */
export function createEnforcer(options: EnforcerOptions): Enforcer {
  return new Enforcer(options)
}
