import type { ControlRecord } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { hashOf } from '../core/hash.ts'

/** What a control record carries beside its position: the effect, and how it is tied to the one before. */
export interface ControlBody {
  /** The effect as {@link encodeEffect} wrote it. */
  readonly body: string
  /** Id of the request that it answers, so that a request becomes one record. */
  readonly request?: string
  /** Hash over the hash of the record before and everything in this one. */
  readonly hash: string
}

function hashOfRecord(
  head: string,
  afterOffset: number,
  kind: string,
  body: string,
  request?: string,
): string {
  return hashOf(head, afterOffset, kind, body, request ?? null)
}

/** A record that follows `head`, the hash of the record before it (empty for the first). */
export function chained(
  head: string,
  afterOffset: number,
  kind: string,
  body: string,
  request?: string,
): { readonly record: Omit<ControlRecord, 'seq'>; readonly hash: string } {
  const hash = hashOfRecord(head, afterOffset, kind, body, request)
  const carried: ControlBody = { body, ...(request === undefined ? {} : { request }), hash }
  return { record: { afterOffset, kind, body: JSON.stringify(carried) }, hash }
}

/** What a record carries. */
export function bodyOf(record: ControlRecord): ControlBody {
  return JSON.parse(record.body) as ControlBody
}

/**
 * Checks that records follow each other and `head` as they were written; returns them, each once, and the
 * hash of the last. A record that stands there twice is an append that was repeated because its answer got
 * lost. Throws `STORE_CORRUPT` naming the record that was changed, removed or put in.
 */
export function verifyChain(
  partition: number,
  head: string,
  records: readonly ControlRecord[],
): { readonly records: ControlRecord[]; readonly head: string } {
  const found: ControlRecord[] = []
  let last = head
  for (const record of records) {
    const { body, request, hash } = bodyOf(record)
    if (hash === last && found.length > 0) {
      found[found.length - 1] = record
      continue
    }
    if (hash !== hashOfRecord(last, record.afterOffset, record.kind, body, request)) {
      throw new CurfewError(
        'STORE_CORRUPT',
        `partition ${partition}: control record ${record.seq} is not the one that was written; verdicts behind offset ${record.afterOffset} cannot be repeated`,
      )
    }
    found.push(record)
    last = hash
  }
  return { records: found, head: last }
}
