import type { Decision, OnTimeout } from '../core/decision.ts'
import type { AlertRecord } from '../core/incident.ts'

/** What happened to a decision at the gateways so far, for people. */
export interface DecisionStatus {
  readonly decision: Decision
  readonly status: string
  /** ISO 8601 or null before it was issued. */
  readonly until: string | null
  /** Of one that waits for a person: until when, in event time, and what happens then. */
  readonly approval?: { readonly by: string; readonly onTimeout: OnTimeout } | null
  /** What the traffic has shown so far; null where nothing acts. */
  readonly proof?: 'held' | 'leaking' | 'untested' | null
  /** Gateways that know the caller by another name, and how it stands there under that name. */
  readonly aliases?: readonly {
    readonly gateway: string
    readonly principal: string
    readonly state: 'held' | 'failed' | 'unsupported' | 'pending'
  }[]
}

/** All that a message about an incident may say. Log text inside is hostile and stays plain text. */
export interface AlertMessage {
  /** Stable: redelivery uses the same id. */
  readonly id: string
  readonly alert: AlertRecord
  readonly decisions: readonly DecisionStatus[]
  /** Page of the incident at the admin interface, or null when none is configured. */
  readonly incidentUrl: string | null
  /** The command that undoes what was done. */
  readonly undo: string
}

/** Several alerts at once: what a storm is folded into. */
export interface AlertDigest {
  /** Stable: redelivery uses the same id. */
  readonly id: string
  /** Newest transition of each incident. A sink shows as many as fit and says how many there are. */
  readonly alerts: readonly AlertRecord[]
  /** Further alerts that were only counted, because the queue was full. */
  readonly omitted: number
}

/**
 * A channel to people. `deliver` is safe to repeat with the same id. `handle` is what an earlier delivery
 * about the same incident returned (a Slack message timestamp), null for the first; the result is kept.
 * Failures: `SINK_UNREACHABLE` (retriable, with `retryAfterMs` when told) and `SINK_REFUSED`.
 */
export interface AlertSink {
  readonly name: string
  deliver(message: AlertMessage, handle: string | null, stop: AbortSignal): Promise<string | null>
  /** One message for many alerts. */
  deliverDigest(digest: AlertDigest, stop: AbortSignal): Promise<void>
}
