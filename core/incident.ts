import type { Entity } from './decision.ts'
import type { Reason } from './opinion.ts'

/** Surprise times impact, in words. */
export type Severity = 'low' | 'medium' | 'high' | 'critical'
/** What happened to an incident. */
export type IncidentTransition = 'opened' | 'escalated' | 'resolved'

/** Every severity, mildest first. */
export const SEVERITIES: readonly Severity[] = ['low', 'medium', 'high', 'critical']

/** The detector of alerts about Curfew itself: a hold that leaks, a latch, lost state. */
export const NOTICE_DETECTOR = 'curfew'

/** Whether an alert is about Curfew itself and not about how somebody behaved. */
export function isNotice(alert: AlertRecord): boolean {
  return alert.detectors[0] === NOTICE_DETECTOR
}

/** One transition of an incident: the line of the alerts output and what people are told about. */
export interface AlertRecord {
  /** Id of the incident and its transition; the same log gives the same id. */
  readonly id: string
  /** The incident's own id, shared by its transitions. */
  readonly incident: string
  readonly time: string
  readonly tenant: string
  readonly transition: IncidentTransition
  readonly entity: Entity
  /** Strongest first. */
  readonly detectors: readonly string[]
  readonly severity: Severity
  readonly score: number
  readonly surprise: number
  readonly summary: string
  readonly reasons: readonly Reason[]
  readonly owasp: readonly string[]
  readonly firstEventTime: string
  readonly lastEventTime: string
  /** Surprising events of the incident so far. */
  readonly events: number
  /** Set where nothing got worse, but nobody acted for so long that learning resumes. */
  readonly reminder?: true
}
