import type { SourcePosition } from './event.ts'

/** Lines of one source, and of one address where they still stated it, that went to the dead letters. */
export interface UnreadableLines {
  /** The tenant that the source's configuration names; a line that cannot be read names none. */
  readonly tenant: string
  /** Name of the configured source. */
  readonly source: string
  readonly gateway: { readonly kind: string; readonly id: string }
  /** Client address, IPv6 as its /64; null when the lines did not state it without doubt. */
  readonly address: string | null
  /** How many, at least 1. */
  readonly lines: number
  /** Kafka record time or arrival, epoch ms; NaN when none is known. */
  readonly receivedAt: number
  /** Where the last of them stands. */
  readonly position: SourcePosition
}

/** The key by which the unreadable lines of a source find their partition. */
export function sourceKey(tenant: string, source: string): string {
  return `${tenant}\u0000source:${source}`
}
