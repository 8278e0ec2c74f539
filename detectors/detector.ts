import type { Prior, PriorSums } from '../baseline/prior.ts'
import type { ProfileView } from '../baseline/slab.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason } from '../core/opinion.ts'

/** What a detector may look at: the call, its caller's profile (this call already counted in the open windows), the peers. */
export interface Question {
  readonly event: AccessEvent
  readonly profile: ProfileView
  readonly prior: Prior
  /** True on the first call of the principal in this hour. */
  readonly newHour: boolean
}

/** Bytes of the profile that belong to one detector. */
export interface Section {
  /** Offset within the profile, a multiple of 8. */
  readonly offset: number
  readonly bytes: number
}

/** The value of an opinion that was not formed. Unknown is never spelled 0. */
export const ABSTAIN = -1

/**
 * One way of being unusual. `score` is a pure question: asking twice gives the same number and changes no
 * byte of the profile. `learn` is called only for calls that nobody holds against the caller.
 */
export interface Detector {
  readonly name: string
  /** Its own place, 0 to 15, in the counts by which surprises of different detectors are made comparable; never given to another. */
  readonly place: number
  /** Bump when the section's layout changes; stored beside it. */
  readonly version: number
  readonly summary: string
  /** Room in each profile, a multiple of 8; 0 for a detector that needs only the baseline. */
  readonly sectionBytes: number
  /** Weight in the combination, relative to the others. */
  readonly weight: number
  /** Set where it does not compare with peers a caller whose own past is too long ago: it counts whole then. */
  readonly speaksOfStale?: boolean
  /** OWASP API Security Top 10 (2023) items that this surprise points to. */
  readonly owasp: readonly string[]
  /**
   * Takes note of a call before it is judged, whoever it may turn out to speak for, as the running windows do;
   * may change only its section, and of what is counted of all callers at most one unit per caller and day.
   * Absent where the baseline's totals are enough.
   */
  observe?(question: Question, section: Section, common: PriorSums): void
  /**
   * Whether a call comes from a network that is new to its caller, who is known by others: true or false, or null where
   * too little is known. Absent for a detector that keeps no networks.
   */
  isFromNewNetwork?(event: AccessEvent, profile: ProfileView, section: Section): boolean | null
  /** A person said that what was held against the caller is usual: it counts as learnt. Called before {@link settle}. */
  accept?(profile: ProfileView, section: Section): void
  /** An incident of this caller ended: what has been told must not be held against it again. */
  settle?(profile: ProfileView, section: Section): void
  /** -log10 of a tail probability (>= 0, at most MAX_SURPRISE), or ABSTAIN. */
  score(question: Question, section: Section): number
  /** Why, in numbers, strongest first, at most 4; empty when it abstains. Weights add up to 1. */
  explain(question: Question, section: Section): readonly Reason[]
  /** Takes the call as normal; may change what {@link observe} may. */
  learn(question: Question, section: Section, common: PriorSums): void
}
