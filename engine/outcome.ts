import type { Calibration } from './calibration.ts'

/** What one call came to. Reused from call to call. */
export interface Outcome {
  /** -log10 of the combined tail probability; null when nobody had an opinion. */
  readonly surprise: number | null
  readonly score: number | null
  readonly duplicate: boolean
  /** Its request id had another content before: another call, and something to count. */
  readonly reusedId: boolean
}

/** The score is worked out when somebody asks for it: most calls are never shown to anybody. */
export class LastOutcome implements Outcome {
  surprise: number | null = null
  duplicate = false
  reusedId = false
  calibration: Calibration | null = null

  get score(): number | null {
    return this.surprise === null || this.calibration === null ? null : this.calibration.score(this.surprise)
  }
}
