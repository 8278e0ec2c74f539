import { CORE, DERIVED } from '../baseline/layout.ts'
import { derive } from '../baseline/predictive.ts'
import type { ProfileView } from '../baseline/slab.ts'
import {
  acceptQuarantine,
  advance,
  count,
  markStale,
  resetTainted,
  taint,
  trustAgain,
} from '../baseline/windows.ts'
import { type AccessEvent, profileKey } from '../core/event.ts'
import { DAY_MS } from '../core/time.ts'
import type { Detector } from '../detectors/detector.ts'
import { surpriseOfHour } from '../detectors/off-hours.ts'
import { binOf, type Calibration, UNITS_PER_DAY } from './calibration.ts'
import { DuplicateFilter } from './duplicates.ts'
import { EventClock } from './event-clock.ts'
import { GRACE_MS, proofsOf } from './hold-proof.ts'
import { addEvidence, type Incident, isHeld, noteEvidenceTime, openIncident } from './incident.ts'
import { IncidentBook } from './incident-book.ts'
import { Judge } from './judge.ts'
import { BOUNDARY_MS, KnowledgeKeeper } from './knowledge.ts'
import { evasionStep, nextStep } from './policy.ts'
import { stateOf } from './profile-state.ts'
import { NEWCOMER_EVENTS, Residents } from './residents.ts'
import type { EngineSettings } from './settings.ts'

/** What one call came to. Reused from call to call. */
export interface Outcome {
  /** -log10 of the combined tail probability; null when nobody had an opinion. */
  readonly surprise: number | null
  readonly score: number | null
  readonly duplicate: boolean
}

/** The score is worked out when somebody asks for it: most calls are never shown to anybody. */
class LastOutcome implements Outcome {
  surprise: number | null = null
  duplicate = false
  calibration: Calibration | null = null

  get score(): number | null {
    return this.surprise === null || this.calibration === null ? null : this.calibration.score(this.surprise)
  }
}

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
  /** Keeps outsiders from choosing hash collisions; the same for every run over one state. */
  readonly seed: number
}

/** Calls older than the principal's latest by more than this are counted apart. */
const LATE_MS = 600_000
/** A new maximum must exceed the old by this much before reasons are worked out anew. */
const WORTH_EXPLAINING = 0.1
/** Days a principal must have been active before its day maxima say anything about normal traffic. */
const MIN_DAYS_FOR_MAXIMA = 3
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
  readonly clock = new EventClock()
  readonly knowledge = new KnowledgeKeeper()
  readonly duplicates: DuplicateFilter
  readonly judge: Judge
  settings: EngineSettings
  /** Calls that found no room for a profile. */
  overflowed = 0
  late = 0
  /** Incident threshold in force, -log10 p. */
  threshold = 0
  /** Day of the last sweep, days since the epoch. */
  sweptDay = 0
  private readonly outcome = new LastOutcome()
  private learning: { prior: KnowledgeKeeper['active']['prior']; sums: KnowledgeKeeper['sums']['prior'] }
  private boundary = -1
  private readonly due = {
    resolved: (incident: Incident) => this.settle(incident, false),
    stale: (incident: Incident) => this.thaw(incident),
  }

  constructor(options: PartitionOptions) {
    this.judge = new Judge(options.detectors)
    this.residents = new Residents(this.judge.sectionBytes, options.maxPrincipals)
    this.duplicates = new DuplicateFilter(options.seed)
    this.settings = options.settings
    this.learning = { prior: this.knowledge.active.prior, sums: this.knowledge.sums.prior }
    this.refresh()
  }

  /** Judges one call and learns from it. The outcome is valid until the next call. */
  step(event: AccessEvent): Outcome {
    const { outcome } = this
    outcome.surprise = null
    outcome.duplicate = this.duplicates.seen(event)
    if (outcome.duplicate) return outcome
    this.clock.observe(event.time)
    this.passTime()
    const at: number = event.time
    let slot = this.residents.find(event.tenant, event.principal)
    const incident = this.book.ofPrincipal(event.tenant, event.principal)
    if (
      event.refusedBy === 'curfew' ||
      (event.refusedBy === 'gateway' && incident !== undefined && isHeld(incident, at))
    ) {
      if (incident !== undefined && slot >= 0) this.attempt(incident, event, at, slot)
      return outcome
    }
    if (slot < 0) slot = this.residents.add(event.tenant, event.principal)
    if (slot < 0) {
      this.overflowed++
      return outcome
    }
    // People rename things; the profile stays with the stable id.
    if (this.residents.ownerOf(slot).principal.label !== event.principal.label) {
      this.residents.relabel(slot, event.principal)
    }
    this.judgeServed(event, slot, at, incident)
    return outcome
  }

  private judgeServed(event: AccessEvent, slot: number, at: number, incident: Incident | undefined): void {
    const { residents, judge, outcome } = this
    residents.touch(slot)
    const view = residents.slab.at(slot)
    const newHour = this.bookTime(view, at, incident)
    if (incident !== undefined) {
      // Windows that closed may have gone into its quarantine, surprising call or not.
      this.book.touch(incident, this.settings)
      this.prove(incident, event, at)
    }
    const served = event.refusedBy === null && (event.status === null || event.status < 400)
    count(view, served ? (event.records ?? 0) : 0, served ? (event.responseBytes ?? 0) : 0)
    const { prior } = this.knowledge.active
    if (view.u32[(view.base + view.derived + DERIVED.version) / 4] !== prior.version + 1) derive(view, prior)
    const surprise = judge.score(event, view, prior, newHour)
    if (surprise === null) {
      // Whoever abstains because it knows too little must still be taught.
      if (teaches(incident)) judge.learn(event, view, prior, newHour)
      return
    }
    outcome.surprise = surprise
    outcome.calibration = this.knowledge.active.calibration
    this.sample(view, surprise)
    if (surprise >= this.threshold) this.hostile(event, view, at, surprise, incident)
    else if (teaches(incident)) judge.learn(event, view, prior, newHour)
  }

  /** Books the time of a call on its profile: day and hour changes, window closings, lateness. */
  private bookTime(view: ProfileView, at: number, incident: Incident | undefined): boolean {
    const lastSeen = view.f64[(view.base + CORE.lastSeen) / 8]!
    if (lastSeen - at > LATE_MS) {
      this.late++
      view.u32[(view.base + CORE.lateEvents) / 4]! += 1
    }
    const time = at > lastSeen ? at : lastSeen
    const events = (view.base + CORE.events) / 8
    if (view.f64[events] === 0) view.f64[(view.base + CORE.firstSeen) / 8] = time
    view.f64[events]! += 1
    view.f64[(view.base + CORE.lastSeen) / 8] = time
    const newHour = advance(view, time, this.learning, incident?.quarantine ?? null)
    // After the windows: they close under what was known when they were open.
    const day = Math.floor(time / DAY_MS)
    if (day !== view.u32[(view.base + CORE.dayIndex) / 4]) this.closeDay(view, day)
    view.u32[(view.base + CORE.dayEvents) / 4]! += 1
    if (newHour) {
      const hour = view.u32[(view.base + CORE.hourIndex) / 4]!
      view.f32[(view.base + CORE.hourSurprise) / 4] = surpriseOfHour(view, this.knowledge.active.prior, hour)
    }
    return newHour
  }

  private closeDay(view: ProfileView, day: number): void {
    const u = view.base / 4
    const days = (view.base + CORE.activeDays) / 2
    const largest = view.f32[u + CORE.dayMaxSurprise / 4]!
    const events = view.f64[(view.base + CORE.events) / 8]!
    if (view.u16[days]! >= MIN_DAYS_FOR_MAXIMA && events >= NEWCOMER_EVENTS) {
      this.knowledge.sums.calibration.dayMaxima[binOf(largest)]! += 1
    }
    view.f32[u + CORE.dayMaxSurprise / 4] = 0
    view.u32[u + CORE.previousDayEvents / 4] = view.u32[u + CORE.dayEvents / 4]!
    view.u32[u + CORE.dayEvents / 4] = 0
    view.u32[u + CORE.dayIndex / 4] = day
    if (view.u16[days]! < 65_535) view.u16[days]! += 1
    // A further day makes the history worth more.
    view.u32[(view.base + view.derived + DERIVED.version) / 4] = 0
  }

  /** Adds the surprise to the calibration so that every principal-day weighs about the same. */
  private sample(view: ProfileView, surprise: number): void {
    const f = (view.base + CORE.dayMaxSurprise) / 4
    if (surprise > view.f32[f]!) view.f32[f] = surprise
    const usual = view.u32[(view.base + CORE.previousDayEvents) / 4]!
    const today = view.u32[(view.base + CORE.dayEvents) / 4]!
    if (usual === 0 || today > 4 * usual || surprise >= this.threshold) return
    const every = Math.ceil(usual / UNITS_PER_DAY)
    if (every > 1 && today % every !== 0) return
    this.knowledge.sums.calibration.events[binOf(surprise)]! += Math.floor((UNITS_PER_DAY * every) / usual)
  }

  private hostile(
    event: AccessEvent,
    view: ProfileView,
    at: number,
    surprise: number,
    open: Incident | undefined,
  ): void {
    const incident = open ?? openIncident(event, at)
    if (open === undefined) this.book.add(profileKey(event.tenant, event.principal), incident)
    addEvidence(incident, event, at)
    if (!incident.stale) {
      taint(view)
      view.u32[(view.base + CORE.quarantinedEvents) / 4]! += 1
    }
    if (surprise > incident.surprise + WORTH_EXPLAINING || incident.events === 1) {
      const { reasons, parts } = this.judge.explain(event, view, this.knowledge.active.prior)
      incident.reasons = reasons
      // In the order in which they were combined: adding in another one may differ in the last digit.
      incident.parts = this.judge.parts.map((part) => ({ ...part }))
      incident.detectors = parts.map((p) => p.detector)
      incident.owasp = this.judge.owaspOf(parts)
      incident.surprise = surprise
      incident.score = this.knowledge.active.calibration.score(surprise)
    }
    if (incident.rung > 0 && countsAsAttempt(incident, at)) incident.attempts++
    this.book.assess(incident, this.settings)
    this.climb(incident, event, view, at)
    this.book.touch(incident, this.settings)
  }

  private climb(incident: Incident, event: AccessEvent, view: ProfileView, at: number): void {
    const state = stateOf(view)
    const step =
      evasionStep(incident, state, event, at) ??
      nextStep(incident, state, this.threshold, this.settings.values, at)
    if (step !== null) this.book.decide(incident, step, this.settings, at)
  }

  /** A refused call of a held caller: demand, never evidence; enough of them take the next rung. */
  private attempt(incident: Incident, event: AccessEvent, at: number, slot: number): void {
    if (incident.rung < TOKEN_REVOKED) incident.attempts++
    this.prove(incident, event, at)
    incident.lastDemandAt = Math.max(incident.lastDemandAt, at)
    noteEvidenceTime(incident, event, at)
    this.climb(incident, event, this.residents.slab.at(slot), at)
    this.book.touch(incident, this.settings)
  }

  /** Says what a call of a restricted caller shows about the decisions on it. */
  private prove(incident: Incident, event: AccessEvent, at: number): void {
    if (incident.rung === 0) return
    for (const proof of proofsOf(incident, event, at)) this.book.outputs.push({ kind: 'proof', proof })
  }

  /** Event time passes: knowledge boundaries, due resolutions, the daily sweep. */
  private passTime(): void {
    const { now } = this.clock
    if (now >= this.book.nextDue) this.book.passTime(now, this.settings, this.due)
    const boundary = Math.floor(now / BOUNDARY_MS)
    if (boundary !== this.boundary) {
      this.boundary = boundary
      this.knowledge.observe(now)
      this.refresh()
      const day = Math.floor(now / DAY_MS)
      if (day !== this.sweptDay) this.sweep(now, day)
    }
  }

  private sweep(now: number, day: number): void {
    this.sweptDay = day
    const busy = new Set<number>()
    for (const i of this.book.openIncidents()) busy.add(this.residents.find(i.tenant, i.principal))
    const { profileIdleDays, incidentDays } = this.settings.values
    const idleMs = profileIdleDays * DAY_MS
    this.residents.sweep(now, idleMs, this.knowledge.sums.prior, (slot) => busy.has(slot))
    this.book.forgetResolvedBefore(now - incidentDays * DAY_MS)
  }

  /** Nobody acted for so long that the frozen profile says little: learning goes on, the peers judge. */
  private thaw(incident: Incident): void {
    const slot = this.residents.find(incident.tenant, incident.principal)
    if (slot < 0) return
    const view = this.residents.slab.at(slot)
    markStale(view)
    const hour = view.u32[(view.base + CORE.hourIndex) / 4]!
    view.f32[(view.base + CORE.hourSurprise) / 4] = surpriseOfHour(view, this.knowledge.active.prior, hour)
    this.residents.touch(slot)
  }

  private settle(incident: Incident, byPerson: boolean): void {
    const slot = this.residents.find(incident.tenant, incident.principal)
    if (slot < 0) return
    const view = this.residents.slab.at(slot)
    // Going quiet does not make an old profile young; its own lessons or a person's word do.
    if (byPerson) trustAgain(view)
    // What has been told and ended is not told again because the day's totals still contain it.
    resetTainted(view)
    this.residents.touch(slot)
  }

  /** Takes the knowledge and settings in force into the hot path's fields. */
  refresh(): void {
    const { active, sums } = this.knowledge
    this.learning = { prior: active.prior, sums: sums.prior }
    const { falseAlarmBudget, minIncidentSurprise } = this.settings.values
    this.threshold = active.calibration.threshold(falseAlarmBudget, minIncidentSurprise)
  }

  /** New settings take effect with the next event. */
  configure(settings: EngineSettings): void {
    this.settings = settings
    this.refresh()
    for (const incident of this.book.openIncidents()) this.book.touch(incident, settings)
  }

  /** Time passes although nobody calls. */
  tick(time: number): void {
    this.clock.tick(time)
    this.passTime()
  }

  /** A person's verdict. `accept` teaches what was set aside, `dismiss` drops it; both lift what holds. */
  close(id: string, verdict: 'accept' | 'dismiss'): boolean {
    const incident = this.book.ofId(id)
    if (incident === undefined || incident.resolvedAt !== null) return false
    const slot = this.residents.find(incident.tenant, incident.principal)
    if (slot >= 0) {
      const view = this.residents.slab.at(slot)
      if (verdict === 'accept') acceptQuarantine(view, incident.quarantine, this.knowledge.sums.prior)
      this.settle(incident, true)
    }
    const at = Math.max(this.clock.now, incident.lastDemandAt)
    this.book.releaseAll(incident, at)
    this.book.resolve(incident, at)
    return true
  }

  /** A person lifted one decision: the principal is no longer held, the incident goes on. */
  released(incidentId: string, decisionId: string): boolean {
    const incident = this.book.ofId(incidentId)
    const issued = incident?.issued.find((d) => d.id === decisionId)
    if (incident === undefined || issued === undefined) return false
    issued.holdUntil = Math.min(issued.holdUntil, this.clock.now)
    this.book.touch(incident, this.settings)
    return true
  }

  /** A person moved the end of one decision's hold, epoch ms. */
  extended(incidentId: string, decisionId: string, until: number): boolean {
    const incident = this.book.ofId(incidentId)
    const issued = incident?.issued.find((d) => d.id === decisionId)
    if (incident === undefined || issued === undefined) return false
    issued.holdUntil = until
    this.book.touch(incident, this.settings)
    return true
  }
}

/** Whether ordinary calls are learnt: not while their caller is under suspicion, unless that has lasted too long. */
function teaches(incident: Incident | undefined): boolean {
  return incident === undefined || incident.stale
}

/** Whether a surprising call that was served speaks against the decision in force: at once where nothing is enforced. */
function countsAsAttempt(incident: Incident, at: number): boolean {
  const last = incident.issued.at(-1)
  return last === undefined || last.mode !== 'enforce' || at > last.at + GRACE_MS
}
