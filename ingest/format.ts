import type { AccessEvent } from '../core/event.ts'
import type { PrincipalRule } from './principal.ts'
import type { RecordsRule } from './records.ts'

/** One message of a raw source: a log line, an HTTP body, a Kafka value. */
export interface RawRecord {
  readonly bytes: Uint8Array
  /** Kafka record time or arrival, epoch ms. */
  readonly receivedAt: number
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** What the configuration of a source fixes; a line can choose none of it. */
export interface SourceSettings {
  readonly tenant: string
  /** Top-level field that names the tenant, when the source carries several; null otherwise. */
  readonly tenantField: string | null
  readonly gateway: { readonly kind: string; readonly id: string }
  /** Top-level field that names the gateway, when several write to the source. */
  readonly gatewayField?: string | null
  readonly principal: PrincipalRule
  readonly records: RecordsRule
}

/** Why a line, or a part of it, was not scored. Closed, so that counters stay bounded. */
export type RejectReason =
  | 'not-json'
  | 'truncated'
  | 'too-long'
  | 'too-deep'
  | 'invalid-utf8'
  | 'missing-field'
  | 'wrong-type'
  | 'bad-number'
  | 'bad-time'
  | 'time-out-of-bounds'
  | 'duplicate-key'
  | 'no-principal'
  | 'unknown-format'

/** A dead letter: the field at fault and its value stand in `detail`, secrets scrubbed. */
export interface Rejection {
  readonly reason: RejectReason
  readonly detail: string
  /** At most 512 characters of the line, secrets scrubbed. */
  readonly excerpt: string
  readonly index: number
  /** Client address, when the damaged line still stated it without doubt. */
  readonly clientIp: string | null
}

/** Receives what a message held, in order. A damaged but salvageable call is both an event and a rejection. */
export interface Emit {
  event(event: AccessEvent): void
  rejected(rejection: Rejection): void
}

/** A gateway's log format. Pure: same bytes, same answers; never throws on any input. */
export interface Format {
  readonly name: string
  parse(record: RawRecord, settings: SourceSettings, emit: Emit): void
}

/** A line longer than this is never parsed whole (10 MB bodies are split by line before). */
export const MAX_LINE_BYTES = 1_048_576
/** JSON nesting beyond this is refused before any recursive parser sees it. */
export const MAX_DEPTH = 64
/** Event time may lie this far before and after receipt (design: 7 d, 2 min). */
export const MAX_PAST_MS = 7 * 86_400_000
/** How far after receipt an event time may lie. */
export const MAX_FUTURE_MS = 120_000
