import type { Checkpoint, ControlRequest, OutboxEntry, Position } from '../store.ts'

/** Longest key of a partition, in bytes of printable ASCII. */
export const MAX_KEY_BYTES = 512
/** Largest value under one key. */
export const MAX_VALUE_BYTES = 32 * 1024 * 1024
/** Largest sum of keys and values in one checkpoint. */
export const MAX_COMMIT_BYTES = 128 * 1024 * 1024
/** Most keys written and deleted by one checkpoint. */
export const MAX_COMMIT_KEYS = 500_000
/** Largest JSON text in an outbox, a control list, an inbox or a shared log. */
export const MAX_BODY_BYTES = 1024 * 1024
/** Largest shared document. */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
/** Most characters of all outbox entries in one call. */
export const MAX_APPEND_CHARACTERS = 32 * 1024 * 1024
/** Most entries of one call that appends. */
export const MAX_APPEND_ENTRIES = 1_000
/** Requests of the admin that may wait for the owner of one partition. */
export const MAX_WAITING_REQUESTS = 10_000
/** Highest partition number. */
export const MAX_PARTITION = 65_535

/** Names that a store uses itself beside the keys of a partition; refused as keys by every store. */
export const RESERVED_KEYS: ReadonlySet<string> = new Set([
  'epoch',
  'position',
  'index',
  'outbox',
  'outbox-ids',
  'outbox-offset',
  'outbox-seq',
  'control',
  'control-seq',
  'requests',
  'requests-seq',
])

const KEY = /^[\x21-\x7e]{1,512}$/
const NAME = /^[A-Za-z0-9._:/-]{1,200}$/
const ID_LIMIT = 200

/** At most 80 characters of a value with everything outside printable ASCII escaped: fit for an error text. */
export function quoted(value: string): string {
  const cut = value.length > 80 ? `${value.slice(0, 80)}...` : value
  return JSON.stringify(cut).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Refuses a partition number that no store can have. Throws a RangeError. */
export function checkPartition(partition: number): void {
  if (!Number.isInteger(partition) || partition < 0 || partition > MAX_PARTITION) {
    throw new RangeError(`partition must be an integer from 0 to ${MAX_PARTITION}, not ${partition}`)
  }
}

/** Refuses a key that not every store can hold. Throws a RangeError. */
export function checkKey(key: string): void {
  if (!KEY.test(key)) {
    throw new RangeError(`key must be 1 to ${MAX_KEY_BYTES} printable ASCII characters, not ${quoted(key)}`)
  }
  if (RESERVED_KEYS.has(key)) throw new RangeError(`key ${quoted(key)} is reserved for the store itself`)
}

/** Refuses the name of a shared document or log that not every store can hold. Throws a RangeError. */
export function checkName(name: string): void {
  if (!NAME.test(name) || name.split('/').includes('..')) {
    throw new RangeError(`name must be 1 to 200 of A-Z a-z 0-9 . _ : / -, not ${quoted(name)}`)
  }
}

/** Refuses text above a limit in UTF-8 bytes. Throws a RangeError that names the field. */
export function checkText(field: string, text: string, limit: number): void {
  const bytes = text.length * 3 <= limit ? 0 : Buffer.byteLength(text)
  if (bytes > limit) throw new RangeError(`${field} has ${bytes} bytes, more than the limit of ${limit}`)
}

function checkPosition(field: string, position: Position): void {
  if (!Number.isSafeInteger(position.offset) || position.offset < -1) {
    throw new RangeError(`${field}.offset must be an integer from -1, not ${position.offset}`)
  }
  if (!/^[0-9a-f]{0,128}$/.test(position.recordHash)) {
    throw new RangeError(`${field}.recordHash must be lower-case hex, not ${quoted(position.recordHash)}`)
  }
}

/** Refuses a checkpoint beyond the limits of every store. Throws a RangeError. */
export function checkCheckpoint(checkpoint: Checkpoint): void {
  checkPosition('expected', checkpoint.expected)
  checkPosition('position', checkpoint.position)
  const keys = checkpoint.puts.size + checkpoint.deletes.length
  if (keys > MAX_COMMIT_KEYS) {
    throw new RangeError(`checkpoint has ${keys} keys, more than the limit of ${MAX_COMMIT_KEYS}`)
  }
  let bytes = 0
  for (const [key, value] of checkpoint.puts) {
    checkKey(key)
    if (value.byteLength > MAX_VALUE_BYTES) {
      throw new RangeError(
        `value of ${quoted(key)} has ${value.byteLength} bytes, the limit is ${MAX_VALUE_BYTES}`,
      )
    }
    bytes += key.length + value.byteLength
  }
  for (const key of checkpoint.deletes) checkKey(key)
  if (bytes > MAX_COMMIT_BYTES) {
    throw new RangeError(`checkpoint has ${bytes} bytes, more than the limit of ${MAX_COMMIT_BYTES}`)
  }
}

/** Refuses outbox entries beyond the limits of every store. Throws a RangeError. */
export function checkOutboxEntries(entries: readonly Omit<OutboxEntry, 'seq'>[]): void {
  if (entries.length > MAX_APPEND_ENTRIES) {
    throw new RangeError(`${entries.length} outbox entries in one call, the limit is ${MAX_APPEND_ENTRIES}`)
  }
  let characters = 0
  for (const entry of entries) {
    checkText('outbox id', entry.id, ID_LIMIT)
    checkText('outbox body', entry.body, MAX_BODY_BYTES)
    characters += entry.body.length
  }
  if (characters > MAX_APPEND_CHARACTERS) {
    throw new RangeError(
      `outbox entries of one call have ${characters} characters, the limit is ${MAX_APPEND_CHARACTERS}`,
    )
  }
}

/** Refuses a request beyond the limits of every store. Throws a RangeError. */
export function checkRequest(request: ControlRequest): void {
  checkText('request id', request.id, ID_LIMIT)
  checkText('request kind', request.kind, ID_LIMIT)
  checkText('request body', request.body, MAX_BODY_BYTES)
}

/** Refuses a control record beyond the limits of every store. Throws a RangeError. */
export function checkControl(record: {
  readonly afterOffset: number
  readonly kind: string
  readonly body: string
}): void {
  if (!Number.isSafeInteger(record.afterOffset) || record.afterOffset < -1) {
    throw new RangeError(`afterOffset must be an integer from -1, not ${record.afterOffset}`)
  }
  checkText('control kind', record.kind, ID_LIMIT)
  checkText('control body', record.body, MAX_BODY_BYTES)
}
