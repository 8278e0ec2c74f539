import type { AlertRecord, Severity } from '../core/incident.ts'
import type { Clock } from '../core/time.ts'
import type { DeliveryLedger } from './ledger.ts'
import type { AlertSink, DecisionStatus } from './sink.ts'

export const DEFAULT_BUDGET_PER_HOUR = 60
export const DEFAULT_BURST = 5

export interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface DispatchedSink {
  readonly sink: AlertSink
  /** Less severe incidents stay silent here until they escalate to it. */
  readonly minSeverity: Severity
  /** Single messages per hour; what is more goes into digests. Default 60. */
  readonly budgetPerHour?: number
  /** Messages per minute, the last of which is kept for a digest. Default 5. */
  readonly burst?: number
}

export interface DispatcherOptions {
  readonly sinks: readonly DispatchedSink[]
  readonly ledger: DeliveryLedger
  readonly clock: Clock
  /** In [0, 1): spreads retries. */
  readonly random: () => number
  readonly logger: Logger
  /** Page of an incident at the admin interface, or null when none is configured. */
  readonly incidentUrl: (incident: string) => string | null
  /** The command that undoes what was done about an incident; empty when there is nothing to undo. */
  readonly undo: (incident: string, decisions: readonly DecisionStatus[]) => string
  /** What became of the decisions of an incident; asked each time a message about it is made. */
  readonly statusOf: (incident: string) => readonly DecisionStatus[]
  /** Resolves after `ms`, rejects or resolves early when `stop` fires. Default: a timer. */
  readonly wait?: (ms: number, stop: AbortSignal) => Promise<unknown>
}

/** How a sink is doing, for readiness and metrics. Counters start at 0 with the process. */
export interface SinkStatus {
  readonly sink: string
  readonly queued: number
  /** Messages sent, digests and edits included. */
  readonly sent: number
  readonly folded: number
  /** Given up after a day of retries. */
  readonly abandoned: number
  readonly refused: number
  readonly omitted: number
  /** Null after a success. */
  readonly lastError: string | null
}

/**
 * Takes alerts and sees to it that each reaches every sink it concerns: in order per incident, within the
 * sink's budget, over restarts, and without one sink waiting for another.
 */
export interface Dispatcher {
  /** Once, before `start` and `accept`: takes up what an earlier process left. */
  load(): Promise<void>
  /** Durable once resolved; the same id again changes nothing. Rejects when the ledger cannot be written. */
  accept(alert: AlertRecord): Promise<void>
  /**
   * Takes back what names a caller in the alerts of which a statement holds, durably: what waits is dropped, what
   * was told is remembered without a name, and shown so where a sink can edit. Rejects when the ledger cannot be written.
   */
  forget(holds: (alert: AlertRecord) => boolean): Promise<void>
  /** A decision of the incident changed: edits the messages about it where a sink can edit. */
  refresh(incident: string): void
  /** Delivers until `stop` fires; resolves when every sink has stopped. */
  start(stop: AbortSignal): Promise<void>
  /** Resolves when nothing is left to send or delivery has stopped; storms are sent without collecting further. */
  drain(): Promise<void>
  status(): readonly SinkStatus[]
}
