import { CORE, DERIVED } from '../baseline/layout.ts'
import { derive } from '../baseline/predictive.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { acceptQuarantine, count, markStale, resetTainted, taint, trustAgain } from '../baseline/windows.ts'
import { isCanary } from '../core/canary.ts'
import { type AccessEvent, type Principal, profileKey } from '../core/event.ts'
import { DAY_MS } from '../core/time.ts'
import type { UnreadableLines } from '../core/unreadable.ts'
import type { Detector } from '../detectors/detector.ts'
import { CANARY_SURPRISE, noteCanary } from './canary.ts'
import { Doorstep } from './doorstep.ts'
import { DuplicateFilter } from './duplicates.ts'
import { GatewayTraffic } from './gateway-traffic.ts'
import { countsAsAttempt, isBesideHold } from './hold-proof.ts'
import {
  addEvidence,
  addLines,
  type Incident,
  isHeld,
  noteEvidenceTime,
  openIncident,
  openLinesIncident,
  teaches,
} from './incident.ts'
import { IncidentBook } from './incident-book.ts'
import { Judge } from './judge.ts'
import type { KnowledgeKeeper } from './knowledge.ts'
import { LastOutcome, type Outcome } from './outcome.ts'
import { evasionStep, nextStep } from './policy.ts'
import { Population } from './population.ts'
import { bookHour, bookTime, isLate, sample } from './profile-book.ts'
import { stateOf } from './profile-state.ts'
import { Residents } from './residents.ts'
import type { EngineSettings } from './settings.ts'
import { UnreadableWatch } from './unreadable-watch.ts'

/** Told about every call, for metrics; must not change anything. */
export interface PartitionObserver {
  judged(event: AccessEvent, outcome: Outcome): void
  /** A record that the log delivered again after it had been folded. */
  redelivered(): void
}

export interface PartitionOptions {
  readonly detectors: readonly Detector[]
  readonly settings: EngineSettings
  /** Bound on resident profiles. */
  readonly maxPrincipals: number
  /** Partitions that callers are spread over; 1 when not given. */
  readonly partitions?: number
  /** Keeps outsiders from choosing hash collisions; the same for every run over one state. */
  readonly seed: number
}

/** A new maximum must exceed the old by this much before reasons are worked out anew. */
const WORTH_EXPLAINING = 0.1
/** Unreadable lines have no false-alarm budget: a rise below this surprise opens nothing. */
const LEAST_RISE = 3.5
/** Rung of a revoked token: further refusals only show that the revocation holds. */
const TOKEN_REVOKED = 3

/**
 * `step` of one partition: folds events, in log order, into profiles, incidents and decisions. Event time
 * only; no clock, no I/O, no randomness, so replay and live are the same computation. State is owned by
 * the caller of this class and updated in place.
 */
export class Partition {
  readonly residents: Residents
  readonly book = new IncidentBook()
  /** Callers that a gateway vouches for. */
  readonly known = new Population(null)
  /** Addresses: whoever calls without identity. */
  readonly strangers = new Population(this.known)
  readonly doorstep: Doorstep
  readonly unreadableLines = new UnreadableWatch()
  readonly duplicates: DuplicateFilter
  readonly traffic = new GatewayTraffic()
  readonly judge: Judge
  private readonly partitions: number
  settings: EngineSettings
  /** Calls that found no room for a profile. */
  overflowed = 0
  late = 0
  /** Day of the last sweep, days since the epoch. */
  sweptDay = 0
  /** The newest wishes to forget a principal that were carried out or refused, by id. */
  forgotten: string[] = []
  private readonly outcome = new LastOutcome()
  private readonly due = {
    resolved: (incident: Incident) => this.settle(incident, false),
    stale: (incident: Incident) => this.thaw(incident),
  }
  private readonly sharesName = (incident: Incident): boolean =>
    this.residents.sharesLabel(incident.tenant, incident.principal)

  constructor(options: PartitionOptions) {
    this.judge = new Judge(options.detectors)
    this.residents = new Residents(this.judge.sectionBytes, options.maxPrincipals)
    this.duplicates = new DuplicateFilter(options.seed)
    this.doorstep = new Doorstep(options.seed)
    this.settings = options.settings
    this.partitions = options.partitions ?? 1
    this.refresh()
  }

  /** The partition's present, epoch ms of event time; 0 before there is anything to go by. */
  get now(): number {
    return Math.max(this.known.clock.now, this.strangers.clock.now)
  }

  /** What is known about the callers that a gateway vouches for. */
  get knowledge(): KnowledgeKeeper {
    return this.known.knowledge
  }

  private populationOf(principal: Principal): Population {
    return principal.verified ? this.known : this.strangers
  }

  /** Judges one call and learns from it. The outcome is valid until the next call. */
  step(event: AccessEvent): Outcome {
    const { outcome } = this
    outcome.surprise = null
    outcome.duplicate = this.duplicates.seen(event)
    outcome.reusedId = this.duplicates.reusedId
    if (outcome.duplicate) return outcome
    const population = this.populationOf(event.principal)
    population.clock.observe(event.time, event.source.topic)
    this.passTime(population)
    const at: number = event.time
    const slot = this.residents.find(event.tenant, event.principal)
    const incident = this.book.ofPrincipal(event.tenant, event.principal)
    if (
      event.refusedBy === 'curfew' ||
      (event.refusedBy === 'gateway' && incident !== undefined && isHeld(incident, at))
    ) {
      if (incident !== undefined && slot >= 0) this.attempt(incident, event, at, slot)
      return outcome
    }
    if (slot < 0) {
      this.welcome(event, at, population, incident)
      return outcome
    }
    // People rename things; the profile stays with the stable id.
    if (this.residents.ownerOf(slot).principal.label !== event.principal.label) {
      this.residents.relabel(slot, event.principal)
    }
    this.judgeServed(event, slot, at, population, incident)
    return outcome
  }

  /**
   * Judges a call of somebody without a profile. An address keeps one from its eighth call of the day on, or
   * when a call opens an incident: addresses cost an attacker nothing, and each would take memory.
   */
  private welcome(
    event: AccessEvent,
    at: number,
    population: Population,
    incident: Incident | undefined,
  ): void {
    const { tenant, principal } = event
    const slot = this.residents.receive()
    if (slot < 0) {
      this.overflowed++
      return
    }
    const stays =
      principal.verified || incident !== undefined || this.doorstep.admits(tenant, principal.id, at, this.now)
    if (stays) this.residents.settle(slot, tenant, principal)
    this.judgeServed(event, slot, at, population, incident)
    if (stays) return
    if (this.book.ofPrincipal(tenant, principal) === undefined) this.residents.dismiss(slot)
    else this.residents.settle(slot, tenant, principal)
  }

  /** Takes lines that could not be read: a rise of them may hide calls, so it is an incident by itself. */
  unreadable(report: UnreadableLines): void {
    const at = Number.isFinite(report.receivedAt) ? report.receivedAt : this.now
    const rises = this.unreadableLines.take(report, at, (key) => this.book.ofKey(key) !== undefined)
    const least = Math.max(LEAST_RISE, this.settings.values.minIncidentSurprise)
    // Without any idea of the time nothing can be dated; the lines count all the same.
    if (at <= 0) return
    for (const rise of rises) {
      if (rise.surprise < least) continue
      const open = this.book.ofKey(rise.key)
      const incident = open ?? openLinesIncident(report, rise, at)
      if (open === undefined) this.book.add(rise.key, incident)
      addLines(incident, report, rise, at)
      incident.score = this.known.active.calibration.score(incident.surprise)
      this.book.assess(incident, this.settings)
      this.book.touch(incident, this.settings)
    }
  }

  private judgeServed(
    event: AccessEvent,
    slot: number,
    at: number,
    population: Population,
    incident: Incident | undefined,
  ): void {
    const { residents, judge, outcome } = this
    const { active } = population
    residents.touch(slot)
    const view = residents.slab.at(slot)
    if (isCanary(event.principal)) {
      this.alarm(event, view, at, population, incident)
      return
    }
    this.traffic.count(event.gateway.id, this.now)
    if (isLate(view, at)) this.late++
    const newHour = bookTime(event, view, at, population, incident?.quarantine ?? null)
    if (incident !== undefined) {
      // Windows that closed may have gone into its quarantine, surprising call or not.
      this.book.touch(incident, this.settings)
      this.book.prove(incident, event, at)
    }
    const served = event.refusedBy === null && (event.status === null || event.status < 400)
    count(view, served ? (event.records ?? 0) : 0, served ? (event.responseBytes ?? 0) : 0)
    const { prior } = active
    if (view.u32[(view.base + view.derived + DERIVED.version) / 4] !== prior.version + 1) derive(view, prior)
    judge.observe(event, view, population.learning, newHour)
    const surprise = judge.score(event, view, active, newHour)
    if (surprise === null) {
      // Whoever abstains because it knows too little must still be taught.
      if (teaches(incident)) judge.learn(event, view, population.learning, newHour)
      return
    }
    outcome.surprise = surprise
    outcome.calibration = active.calibration
    sample(event, view, surprise, population)
    if (surprise >= population.threshold) this.hostile(event, view, at, surprise, population, incident)
    else if (teaches(incident)) judge.learn(event, view, population.learning, newHour)
  }

  /** A call of the drill's canary: an alarm, and a lesson for nobody. */
  private alarm(
    event: AccessEvent,
    view: ProfileView,
    at: number,
    population: Population,
    open: Incident | undefined,
  ): void {
    noteCanary(view, at)
    if (open !== undefined) this.book.prove(open, event, at)
    this.judge.sound()
    this.outcome.surprise = CANARY_SURPRISE
    this.outcome.calibration = population.active.calibration
    this.hostile(event, view, at, CANARY_SURPRISE, population, open)
  }

  private hostile(
    event: AccessEvent,
    view: ProfileView,
    at: number,
    surprise: number,
    population: Population,
    open: Incident | undefined,
  ): void {
    const { active } = population
    const incident = open ?? this.opened(event, view, at)
    if (open === undefined) this.book.add(profileKey(event.tenant, event.principal), incident)
    const isNew = this.judge.isFromNewNetwork(event, view)
    addEvidence(incident, event, at, isNew)
    if (!incident.stale) {
      taint(view)
      view.u32[(view.base + CORE.quarantinedEvents) / 4]! += 1
    }
    if (surprise > incident.surprise + WORTH_EXPLAINING || incident.events === 1) {
      const { reasons, parts } = this.judge.explain(event, view, active)
      incident.reasons = reasons
      // In the order in which they were combined: adding in another one may differ in the last digit.
      incident.parts = this.judge.parts.map((part) => ({ ...part }))
      incident.detectors = parts.map((p) => p.detector)
      incident.owasp = this.judge.owaspOf(parts)
      incident.surprise = surprise
      incident.score = active.calibration.score(surprise)
    }
    if (incident.rung > 0 && countsAsAttempt(incident, event, at, isNew)) incident.attempts++
    this.book.assess(incident, this.settings)
    this.climb(incident, event, view, at)
    this.book.touch(incident, this.settings)
  }

  private opened(event: AccessEvent, view: ProfileView, at: number): Incident {
    const traffic = this.traffic.shareOf(event.gateway.id, view, this.partitions)
    return openIncident(event, at, this.residents.nameOf(event), traffic)
  }

  private climb(incident: Incident, event: AccessEvent, view: ProfileView, at: number): void {
    const state = stateOf(view)
    const step =
      evasionStep(incident, state, event, at) ??
      nextStep(incident, state, this.populationOf(event.principal).threshold, this.settings.values, at)
    if (step !== null) this.book.decide(incident, step, this.settings, at, this.sharesName)
  }

  /** A refused call of a held caller: demand, never evidence; enough of them take the next rung. */
  private attempt(incident: Incident, event: AccessEvent, at: number, slot: number): void {
    const view = this.residents.slab.at(slot)
    const isNew = this.judge.isFromNewNetwork(event, view)
    if (incident.rung < TOKEN_REVOKED && !isBesideHold(incident, event, at, isNew)) incident.attempts++
    this.book.prove(incident, event, at)
    incident.lastDemandAt = Math.max(incident.lastDemandAt, at)
    noteEvidenceTime(incident, event, at)
    this.climb(incident, event, view, at)
    this.book.touch(incident, this.settings)
  }

  /** Event time passes: knowledge boundaries, due resolutions, the daily sweep. */
  private passTime(population: Population): void {
    const { now } = this
    if (now >= this.book.nextDue) this.book.passTime(now, this.settings, this.due)
    if (population.passTime(this.settings) && population === this.known) this.strangers.refresh(this.settings)
    const day = Math.floor(now / DAY_MS)
    if (day !== this.sweptDay) this.sweep(now, day)
  }

  private sweep(now: number, day: number): void {
    this.sweptDay = day
    const busy = new Set<number>()
    for (const i of this.book.openIncidents()) busy.add(this.residents.find(i.tenant, i.principal))
    const sumsOf = (principal: Principal) => this.populationOf(principal).knowledge.sums.prior
    const { profileIdleDays, incidentDays } = this.settings.values
    this.residents.sweep(now, profileIdleDays * DAY_MS, sumsOf, (slot) => busy.has(slot))
    this.book.forgetResolvedBefore(now - incidentDays * DAY_MS)
  }

  /** Nobody acted for so long that the frozen profile says little: learning goes on, the peers judge. */
  private thaw(incident: Incident): void {
    const slot = this.residents.find(incident.tenant, incident.principal)
    if (slot < 0) return
    const view = this.residents.slab.at(slot)
    markStale(view)
    bookHour(view, this.populationOf(incident.principal).active.prior)
    this.residents.touch(slot)
  }

  private settle(incident: Incident, byPerson: boolean): void {
    if (incident.linesKey !== undefined) return
    const slot = this.residents.find(incident.tenant, incident.principal)
    if (slot < 0) return
    const view = this.residents.slab.at(slot)
    // Going quiet does not make an old profile young; its own lessons or a person's word do.
    if (byPerson) trustAgain(view)
    // What has been told and ended is not told again because the day's totals still contain it.
    resetTainted(view)
    this.judge.settle(view)
    this.residents.touch(slot)
  }

  /** Takes the knowledge and settings in force into the hot path's fields. */
  refresh(): void {
    this.known.refresh(this.settings)
    this.strangers.refresh(this.settings)
  }

  /** New settings take effect with the next event. */
  configure(settings: EngineSettings): void {
    this.settings = settings
    this.refresh()
    for (const incident of this.book.openIncidents()) this.book.touch(incident, settings)
  }

  /** Time passes although nobody calls. */
  tick(time: number): void {
    for (const population of [this.known, this.strangers]) {
      population.clock.tick(time)
      this.passTime(population)
    }
  }

  /** A person's verdict. `accept` teaches what was set aside, `dismiss` drops it; both lift what holds. */
  close(id: string, verdict: 'accept' | 'dismiss'): boolean {
    const incident = this.book.ofId(id)
    if (incident === undefined || incident.resolvedAt !== null) return false
    const { tenant, principal } = incident
    const slot = this.residents.find(tenant, principal)
    if (slot >= 0) {
      const view = this.residents.slab.at(slot)
      if (verdict === 'accept') {
        acceptQuarantine(view, incident.quarantine, this.populationOf(principal).knowledge.sums.prior)
        this.judge.accept(view)
      }
      this.settle(incident, true)
    }
    const at = Math.max(this.now, incident.lastDemandAt)
    this.book.releaseAll(incident, at)
    this.book.resolve(incident, at)
    return true
  }
}
