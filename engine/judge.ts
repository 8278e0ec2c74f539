import { checkSections, type StoredSection } from '../baseline/codec.ts'
import { FIXED_BYTES } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { Prior } from '../baseline/prior.ts'
import type { ProfileView } from '../baseline/slab.ts'
import type { Learning } from '../baseline/windows.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason, VerdictPart } from '../core/opinion.ts'
import { ABSTAIN, type Detector, type Question, type Section } from '../detectors/detector.ts'
import { CANARY_DETECTOR, CANARY_PART, CANARY_REASON } from './canary.ts'
import { combine } from './combine.ts'
import type { Knowledge } from './knowledge.ts'
import { LEVELS_SECTION, noteLevel, REPEATED_SECTION, worthFor, worthOf } from './levels.ts'

interface MutablePart {
  detector: string
  surprise: number
  weight: number
}

interface MutableQuestion {
  event: AccessEvent
  profile: ProfileView
  prior: Prior
  newHour: boolean
}

/** What peers say about a STALE caller counts half: they vouch for nobody in particular. */
const STALE_WEIGHT = 0.5

function weightFor({ speaksOfStale }: Detector, isOld: boolean): number {
  return isOld && speaksOfStale !== true ? STALE_WEIGHT : 1
}

/** The detectors in use, their places in a profile, and the scratch memory of one judgement. */
export class Judge {
  readonly detectors: readonly Detector[]
  readonly sections: readonly Section[]
  /** How profiles are stored: what the engine keeps of a day, then the sections of the detectors. */
  readonly stored: readonly StoredSection[]
  readonly sectionBytes: number
  /** Parts of the last judgement; overwritten by the next. */
  readonly parts: MutablePart[] = []
  private readonly spare: MutablePart[]
  private readonly question = {} as MutableQuestion

  /** Which detector knows the networks of callers; -1 when none does. */
  private readonly knowsNetworks: number

  /** Throws a `RangeError` for detectors whose sections cannot be stored; see {@link checkSections}. */
  constructor(detectors: readonly Detector[]) {
    this.detectors = detectors
    this.stored = [
      LEVELS_SECTION,
      REPEATED_SECTION,
      ...detectors.map(({ name, version, sectionBytes }) => ({ name, version, bytes: sectionBytes })),
    ]
    checkSections(this.stored)
    let offset = FIXED_BYTES + LEVELS_SECTION.bytes + REPEATED_SECTION.bytes
    this.sections = detectors.map((d) => {
      const section = { offset, bytes: d.sectionBytes }
      offset += d.sectionBytes
      return section
    })
    this.sectionBytes = offset - FIXED_BYTES
    this.knowsNetworks = detectors.findIndex((d) => d.isFromNewNetwork !== undefined)
    this.spare = detectors.map((d) => ({ detector: d.name, surprise: 0, weight: d.weight }))
  }

  /** Lets detectors that keep running evidence take note of a call that is about to be judged. */
  observe(event: AccessEvent, profile: ProfileView, { prior, sums }: Learning, newHour: boolean): void {
    const question = this.ask(event, profile, prior, newHour)
    for (let i = 0; i < this.detectors.length; i++)
      this.detectors[i]!.observe?.(question, this.sections[i]!, sums)
  }

  /**
   * The combined surprise of a call that is already counted in the open windows; null = all abstain. Notes on the caller's
   * day what each detector said.
   */
  score(event: AccessEvent, profile: ProfileView, known: Knowledge, newHour: boolean): number | null {
    const question = this.ask(event, profile, known.prior, newHour)
    const { levels } = known.calibration
    const isOld = isStale(profile)
    let count = 0
    for (let i = 0; i < this.detectors.length; i++) {
      const detector = this.detectors[i]!
      const surprise = detector.score(question, this.sections[i]!)
      if (surprise === ABSTAIN) continue
      noteLevel(profile, detector.place, surprise)
      const part = this.spare[i]!
      part.surprise = weightFor(detector, isOld) * worthFor(profile, levels, detector.place, surprise)
      this.parts[count++] = part
    }
    if (this.parts.length !== count) this.parts.length = count
    return combine(this.parts)
  }

  /** Takes a call of the drill's canary in place of a judgement: the detectors are not asked. */
  sound(): void {
    this.parts.length = 0
    this.parts.push({ ...CANARY_PART })
  }

  /** Lets every detector take the last call as normal. */
  learn(event: AccessEvent, profile: ProfileView, { prior, sums }: Learning, newHour: boolean): void {
    const question = this.ask(event, profile, prior, newHour)
    for (let i = 0; i < this.detectors.length; i++)
      this.detectors[i]!.learn(question, this.sections[i]!, sums)
  }

  /** Takes what was held against a caller as usual. */
  accept(profile: ProfileView): void {
    for (let i = 0; i < this.detectors.length; i++) this.detectors[i]!.accept?.(profile, this.sections[i]!)
  }

  /** Drops running evidence of a caller whose incident ended. */
  settle(profile: ProfileView): void {
    for (let i = 0; i < this.detectors.length; i++) this.detectors[i]!.settle?.(profile, this.sections[i]!)
  }

  /** Whether a call comes from a network that is new to a caller who is known by others; null where nobody can tell. */
  isFromNewNetwork(event: AccessEvent, profile: ProfileView): boolean | null {
    const i = this.knowsNetworks
    return i < 0 ? null : this.detectors[i]!.isFromNewNetwork!(event, profile, this.sections[i]!)
  }

  /** Reasons of the last judgement, strongest detector first; their weights add up to 1. */
  explain(
    event: AccessEvent,
    profile: ProfileView,
    { prior, calibration }: Knowledge,
  ): { reasons: Reason[]; parts: VerdictPart[] } {
    const question = this.ask(event, profile, prior, false)
    const parts = this.parts.map((p) => ({ ...p })).sort((a, b) => b.surprise - a.surprise)
    if (parts[0]?.detector === CANARY_DETECTOR) return { reasons: [CANARY_REASON], parts }
    const total = parts.reduce((sum, p) => sum + p.weight * p.surprise, 0)
    const reasons: Reason[] = []
    const isOld = isStale(profile)
    for (const part of parts) {
      const i = this.detectors.findIndex((d) => d.name === part.detector)
      const detector = this.detectors[i]!
      const share = total === 0 ? 0 : (part.weight * part.surprise) / total
      const own = detector.explain(question, this.sections[i]!)
      const sum = own.reduce((s, r) => s + r.weight, 0)
      for (const reason of own) {
        // What it says, whether or not former days said it too: that counts for the alarm, not for what happened.
        const worth = worthOf(calibration.levels, detector.place, reason.surprise)
        const surprise = weightFor(detector, isOld) * worth
        reasons.push({ ...reason, surprise, weight: sum === 0 ? 0 : (reason.weight / sum) * share })
      }
    }
    return { reasons, parts }
  }

  /** OWASP items of the detectors that contributed. */
  owaspOf(parts: readonly VerdictPart[]): string[] {
    const items = this.detectors.filter((d) => parts.some((p) => p.detector === d.name && p.surprise >= 1))
    return [...new Set(items.flatMap((d) => d.owasp))].sort()
  }

  private ask(event: AccessEvent, profile: ProfileView, prior: Prior, newHour: boolean): Question {
    const { question } = this
    question.event = event
    question.profile = profile
    question.prior = prior
    question.newHour = newHour
    return question
  }
}
