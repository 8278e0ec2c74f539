import type { AccessEvent, Principal, Token } from '../../core/event.ts'
import { eventTime } from '../../core/time.ts'
import type { UnreadableLines } from '../../core/unreadable.ts'
import { MAX_LINE_BYTES } from '../format.ts'
import { PRINCIPAL_KINDS, RECORDS_FROM, REFUSERS } from './canonical.ts'
import { canonicalSlots } from './canonical-fields.ts'
import { ARRAY, FALSE, type Fields, NULL, NUMBER, OBJECT, TEXT, TRUE } from './json-fields.ts'
import { JsonScanner } from './json-scanner.ts'
import { ShapeBuilder } from './json-shape.ts'
import { readStrictly } from './json-strict.ts'
import { TextTable } from './text-table.ts'

const builder = new ShapeBuilder()
const S = {
  ...canonicalSlots(builder),
  receivedAt: builder.slot('receivedAt'),
  tenant: builder.slot('tenant'),
  gateway: builder.slot('gateway'),
  gatewayKind: builder.slot('gateway', 'kind'),
  gatewayId: builder.slot('gateway', 'id'),
  source: builder.slot('source'),
  topic: builder.slot('source', 'topic'),
  partition: builder.slot('source', 'partition'),
  offset: builder.slot('source', 'offset'),
  index: builder.slot('source', 'index'),
}
const SHAPE = builder.build()
const scanner = new JsonScanner(new TextTable(14, 0x2b4d6f81))

/** The event as a record of the internal topic: canonical JSON with everything that the event holds. */
export function encodeInternal(event: AccessEvent): Uint8Array {
  return Buffer.from(JSON.stringify(event), 'utf8')
}

/**
 * Reads what {@link encodeInternal} wrote, to the same event. `receivedAt` stands in where the event had no
 * time of receipt. Null when the bytes are anything else: nobody but this program writes that topic.
 */
export function decodeInternal(bytes: Uint8Array, receivedAt: number): AccessEvent | null {
  if (bytes.length > MAX_LINE_BYTES) return null
  const buffer = asBuffer(bytes)
  if (scanner.scan(buffer, SHAPE)) return eventOf(scanner, receivedAt)
  const strict = readStrictly(buffer, SHAPE)
  if (strict.damage !== null || strict.duplicates.length > 0) return null
  return eventOf(strict.fields, receivedAt)
}

/**
 * Whether {@link decodeInternal} gives exactly this event back from what {@link encodeInternal} made of it: not so for
 * half a surrogate pair, a negative zero, a number that JSON has no word for and what is longer than a line may be.
 */
export function isReadBackAlike(event: AccessEvent, encoded: Uint8Array): boolean {
  const { time, receivedAt, status, latencyMs, requestBytes, responseBytes, records, source } = event
  return (
    isPlain(time) &&
    isPlain(receivedAt) &&
    isPlain(status) &&
    isPlain(latencyMs) &&
    isPlain(requestBytes) &&
    isPlain(responseBytes) &&
    isPlain(records) &&
    isPlain(source.partition) &&
    isPlain(source.offset) &&
    isPlain(source.index) &&
    (event.token === null || (isPlain(event.token.iat) && isPlain(event.token.exp))) &&
    !(event.principal.kind === 'ip' && event.principal.verified) &&
    encoded.length <= MAX_LINE_BYTES &&
    asBuffer(encoded).indexOf(HALF_PAIR) < 0
  )
}

/** How JSON spells half of a surrogate pair; a text that happens to hold the same is none the worse for being read. */
const HALF_PAIR = Buffer.from('\\ud')

function isPlain(amount: number | null): boolean {
  return amount === null || (Number.isFinite(amount) && !Object.is(amount, -0))
}

function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Unreadable lines as a record of the internal topic, where a rise of them is noticed. */
export function encodeUnreadable(lines: UnreadableLines): Uint8Array {
  return Buffer.from(JSON.stringify({ unreadable: lines }), 'utf8')
}

const UNREADABLE_START = Buffer.from('{"unreadable":')

/**
 * Reads what {@link encodeUnreadable} wrote; null for anything else. `receivedAt` stands in where no time of
 * receipt was known.
 */
export function decodeUnreadable(bytes: Uint8Array, receivedAt: number): UnreadableLines | null {
  if (bytes.length > MAX_LINE_BYTES || UNREADABLE_START.some((byte, i) => bytes[i] !== byte)) return null
  try {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
    const { unreadable } = JSON.parse(text) as { readonly unreadable: UnreadableLines }
    return { ...unreadable, receivedAt: unreadable.receivedAt ?? receivedAt }
  } catch {
    return null
  }
}

/** Thrown and caught in this file only: a member is not what {@link encodeInternal} writes. */
class Foreign extends Error {}

function eventOf(f: Fields, receivedAt: number): AccessEvent | null {
  try {
    return {
      id: text(f, S.id),
      time: eventTime(number(f, S.time)),
      receivedAt: numberOrNull(f, S.receivedAt) ?? receivedAt,
      tenant: repeated(f, S.tenant),
      principal: principalOf(f),
      parents: texts(f, S.parents),
      token: tokenOf(f),
      credential: textOrNull(f, S.credential),
      clientIp: textOrNull(f, S.clientIp),
      userAgent: textOrNull(f, S.userAgent),
      method: repeated(f, S.method),
      route: repeated(f, S.route),
      path: text(f, S.path),
      objectIds: texts(f, S.objectIds),
      status: numberOrNull(f, S.status),
      latencyMs: numberOrNull(f, S.latencyMs),
      requestBytes: numberOrNull(f, S.requestBytes),
      responseBytes: numberOrNull(f, S.responseBytes),
      records: numberOrNull(f, S.records),
      recordsFrom: oneOf(f, S.recordsFrom, RECORDS_FROM),
      refusedBy: f.kind(S.refusedBy) === NULL ? null : oneOf(f, S.refusedBy, REFUSERS),
      gateway: { kind: repeated(f, S.gatewayKind), id: repeated(f, S.gatewayId) },
      source: {
        topic: repeated(f, S.topic),
        partition: number(f, S.partition),
        offset: number(f, S.offset),
        index: number(f, S.index),
      },
    }
  } catch (error) {
    if (error instanceof Foreign) return null
    throw error
  }
}

function text(f: Fields, slot: number): string {
  if (f.kind(slot) !== TEXT) throw new Foreign()
  return f.text(slot)
}

/** A text that is likely to come again. */
function repeated(f: Fields, slot: number): string {
  if (f.kind(slot) !== TEXT) throw new Foreign()
  return f.known(slot).text
}

function textOrNull(f: Fields, slot: number): string | null {
  return f.kind(slot) === NULL ? null : repeated(f, slot)
}

function number(f: Fields, slot: number): number {
  if (f.kind(slot) !== NUMBER) throw new Foreign()
  return f.number(slot)
}

function numberOrNull(f: Fields, slot: number): number | null {
  return f.kind(slot) === NULL ? null : number(f, slot)
}

function oneOf<T extends string>(f: Fields, slot: number, allowed: readonly T[]): T {
  const word = repeated(f, slot)
  const found = allowed.find((candidate) => candidate === word)
  if (found === undefined) throw new Foreign()
  return found
}

function texts(f: Fields, slot: number): readonly string[] {
  const list = f.kind(slot) === ARRAY ? f.texts(slot) : null
  if (list === null) throw new Foreign()
  return list
}

function principalOf(f: Fields): Principal {
  const kind = oneOf(f, S.kind, PRINCIPAL_KINDS)
  const verifiedKind = f.kind(S.verified)
  if (verifiedKind !== TRUE && verifiedKind !== FALSE) throw new Foreign()
  const verified = verifiedKind === TRUE && kind !== 'ip'
  if (f.kind(S.principalId) !== TEXT) throw new Foreign()
  const id = f.known(S.principalId)
  const label = repeated(f, S.label)
  const known = id.principal
  if (known !== null && known.kind === kind && known.label === label && known.verified === verified)
    return known
  id.principal = { kind, id: id.text, label, verified }
  return id.principal
}

function tokenOf(f: Fields): Token | null {
  if (f.kind(S.token) === NULL) return null
  if (f.kind(S.token) !== OBJECT) throw new Foreign()
  return {
    iss: textOrNull(f, S.iss),
    sub: textOrNull(f, S.sub),
    jti: textOrNull(f, S.jti),
    iat: numberOrNull(f, S.iat),
    exp: numberOrNull(f, S.exp),
    scopes: texts(f, S.scopes),
  }
}
