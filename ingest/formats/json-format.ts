import type { AccessEvent } from '../../core/event.ts'
import { eachElement, isArrayMessage } from '../envelope.ts'
import {
  type Emit,
  type Format,
  MAX_LINE_BYTES,
  type RawRecord,
  type RejectReason,
  type SourceSettings,
} from '../format.ts'
import { excerptOf } from '../scrub.ts'
import type { Fields } from './json-fields.ts'
import { JsonScanner } from './json-scanner.ts'
import type { Shape } from './json-shape.ts'
import { readStrictly } from './json-strict.ts'
import { Line } from './line.ts'
import { TextTable } from './text-table.ts'

/** What a format compiles from a source's settings: at least which members it reads. */
export interface ReadingPlan {
  readonly shape: Shape
}

/** What a message held, where that is more than one line of the format: its calls, and what was wrong with it. */
export interface Opened {
  readonly calls: readonly Buffer[]
  readonly fault: { readonly reason: RejectReason; readonly detail: string } | null
}

/** The part of a JSON format that differs from gateway to gateway. */
export interface EventReader<P extends ReadingPlan> {
  readonly name: string
  plan(settings: SourceSettings): P
  /** Takes a message out of what it came in (compression, an envelope, a prefix); null when it came plain. */
  open?(bytes: Buffer): Opened | null
  /** The event, or null when the line cannot be one. Whatever is wrong is noted on the line. */
  read(fields: Fields, plan: P, line: Line): AccessEvent | null
}

const TABLE_BITS = 14
const TABLE_SEED = 0x1f3d5b79
const BOM = [0xef, 0xbb, 0xbf] as const

/**
 * A format of JSON objects, one per message or several in an array. A line goes through the scanner; when
 * that finds anything odd, through the strict parser. Both end in the same reader.
 */
export function jsonFormat<P extends ReadingPlan>(
  reader: EventReader<P>,
  mode: 'fast' | 'strict' = 'fast',
): Format {
  const plans = new WeakMap<SourceSettings, P>()
  const scanner = new JsonScanner(new TextTable(TABLE_BITS, TABLE_SEED))
  let lastSettings: SourceSettings | null = null
  let lastPlan: P | null = null

  const planFor = (settings: SourceSettings): P => {
    if (settings === lastSettings && lastPlan !== null) return lastPlan
    const plan = plans.get(settings) ?? reader.plan(settings)
    plans.set(settings, plan)
    lastSettings = settings
    lastPlan = plan
    return plan
  }

  const parseObject = (bytes: Buffer, line: Line, emit: Emit): boolean => {
    const plan = planFor(line.settings)
    line.bytes = bytes
    let fields: Fields = scanner
    if (mode === 'strict' || bytes.length > MAX_LINE_BYTES || !scanner.scan(bytes, plan.shape)) {
      fields = readIntoLine(bytes, plan.shape, line)
    }
    const event = reader.read(fields, plan, line)
    if (event !== null) emit.event(event)
    if (line.problem !== null) reject(line, bytes, emit)
    return line.problem === null
  }

  return {
    name: reader.name,
    parse(record: RawRecord, settings: SourceSettings, emit: Emit): void {
      const bytes = withoutMark(asBuffer(record.bytes))
      const opened = reader.open?.(bytes) ?? null
      if (opened !== null) {
        for (const [index, call] of opened.calls.entries())
          parseObject(call, new Line(record, settings, index), emit)
        if (opened.fault === null) return
        const line = new Line(record, settings, opened.calls.length)
        line.note(opened.fault.reason, opened.fault.detail)
        reject(line, bytes, emit)
      } else if (isArrayMessage(bytes)) {
        parseArray(
          bytes,
          (element, index) => parseObject(element, new Line(record, settings, index), emit),
          (index, reason) => {
            const line = new Line(record, settings, index)
            line.note(reason, 'the array of calls')
            reject(line, bytes, emit)
          },
        )
      } else {
        parseObject(bytes, new Line(record, settings, 0), emit)
      }
    },
  }
}

/** Reads with the strict parser and tells the line what that found wrong. */
function readIntoLine(bytes: Buffer, shape: Shape, line: Line): Fields {
  const strict = readStrictly(bytes, shape)
  line.duplicates = strict.duplicates
  line.salvaged = strict.salvaged
  line.replacedBytes = strict.replacedBytes
  if (strict.damage !== null) line.note(strict.damage, `the line of ${bytes.length} bytes`)
  if (strict.duplicates.length > 0) line.note('duplicate-key', strict.duplicates[0] ?? '')
  return strict.fields
}

function parseArray(
  bytes: Buffer,
  parse: (element: Buffer, index: number) => boolean,
  damaged: (index: number, reason: 'too-long' | 'truncated' | 'not-json') => void,
): void {
  const tooLong = bytes.length > MAX_LINE_BYTES
  let lastWasFine = true
  let elements = 0
  const fault = eachElement(tooLong ? bytes.subarray(0, MAX_LINE_BYTES) : bytes, (element, index) => {
    lastWasFine = parse(asBuffer(element), index)
    elements = index + 1
  })
  if (fault !== null && (lastWasFine || fault === 'too-long')) damaged(elements, tooLong ? 'too-long' : fault)
}

function reject(line: Line, bytes: Buffer, emit: Emit): void {
  if (line.problem === null) return
  const { reason, detail } = line.problem
  emit.rejected({
    reason,
    detail,
    excerpt: excerptOf(bytes),
    index: line.index,
    clientIp: line.address?.ip ?? null,
  })
}

function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === BOM[0] && bytes[1] === BOM[1] && bytes[2] === BOM[2]
    ? bytes.subarray(BOM.length)
    : bytes
}
