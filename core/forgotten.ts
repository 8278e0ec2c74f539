import type { AlertRecord } from './incident.ts'

/** What a partition has to say about the wish that a principal be forgotten. It names nobody. */
export interface Forgotten {
  /** Id of the wish. */
  readonly request: string
  /** `refused`: a decision on the principal stood, and nothing was changed. */
  readonly outcome: 'done' | 'refused'
  /** Ids of the incidents that went with it. */
  readonly incidents: readonly string[]
}

/** Stands where the name of a forgotten principal stood. */
export const FORGOTTEN_NAME = 'forgotten'

/** The same alert about nobody: what an incident was is still told, about whom is not. */
export function nameless(alert: AlertRecord): AlertRecord {
  const entity = { ...alert.entity, id: FORGOTTEN_NAME }
  return { ...alert, entity, summary: 'The caller that this was about has been forgotten.', reasons: [] }
}
