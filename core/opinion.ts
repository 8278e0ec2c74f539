/** One checkable statement: what was seen, what was expected, and against what it was compared. */
export interface Reason {
  readonly detector: string
  /** Feature and window, such as `records/1h`. */
  readonly feature: string
  readonly observed: number
  readonly expected: number
  /** Where 99 % of such observations of this principal fall. */
  readonly range: readonly [number, number]
  readonly unit: string
  /** -log10 of this feature's tail probability. */
  readonly surprise: number
  /** Share of the combined surprise that this reason carries, 0..1. */
  readonly weight: number
  /** `own history`, `peers` or `own history and peers`. */
  readonly comparedWith: string
}

/** Why a detector has no opinion. Unknown is never spelled 0. */
export type AbstainReason = 'warming-up' | 'missing-feature' | 'not-applicable' | 'own-refusal'

/** What a detector answers: a surprise (-log10 of a tail probability, >= 0, uncapped) or why it has none. */
export type Opinion =
  | { readonly kind: 'surprise'; readonly surprise: number; readonly reasons: readonly Reason[] }
  | { readonly kind: 'abstain'; readonly why: AbstainReason }

/** A detector's share in a verdict. */
export interface VerdictPart {
  readonly detector: string
  readonly surprise: number
  readonly weight: number
}

/** The combined judgement of one event with the parts that reproduce it exactly. */
export interface Verdict {
  /** -log10 of the combined tail probability; null when every detector abstained. */
  readonly surprise: number | null
  /** Calibrated: on normal traffic a share q of events scores above 1-q. */
  readonly score: number | null
  readonly parts: readonly VerdictPart[]
  /** Version of the knowledge (priors, calibration) that the verdict was made under. */
  readonly knowledge: number
}
