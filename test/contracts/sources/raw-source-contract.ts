import { expect } from 'vitest'
import type { RawBatch, RawSource, SourcedRecord } from '../../../ingest/source.ts'

/** How the checks get at sources called `edge`. */
export interface RawSourceHarness {
  /** A source over a log that holds these lines, in one partition. */
  open(lines: readonly string[]): Promise<RawSource>
  /** The same source after a restart of its process, or of its reading when it keeps no state. */
  again(source: RawSource): Promise<RawSource>
  /** After so long a source that should end counts as stuck. */
  readonly patienceMs: number
}

const LINES = Array.from({ length: 3_500 }, (_, i) => `line ${i}`)

/** Takes batches until `enough` says so; acknowledges those that `acknowledge` picks. */
async function take(
  harness: RawSourceHarness,
  source: RawSource,
  enough: (batches: readonly RawBatch[]) => boolean,
  acknowledge: (index: number) => boolean,
): Promise<RawBatch[]> {
  const stop = new AbortController()
  const batches: RawBatch[] = []
  const patience = setTimeout(() => stop.abort(), harness.patienceMs)
  for await (const batch of source.batches(stop.signal)) {
    batches.push(batch)
    if (acknowledge(batches.length - 1)) await batch.ack()
    if (enough(batches)) stop.abort()
  }
  clearTimeout(patience)
  return batches
}

const recordsOf = (batches: readonly RawBatch[]): SourcedRecord[] => batches.flatMap((batch) => batch.records)
const textsOf = (records: readonly SourcedRecord[]) =>
  records.map((record) => Buffer.from(record.bytes).toString())
const whole = (count: number) => (batches: readonly RawBatch[]) => recordsOf(batches).length >= count

type Check = (harness: RawSourceHarness) => Promise<void>

/** What every source of raw logs must do. A check fails by throwing. */
export const RAW_SOURCE_CHECKS = {
  'keeps the order, and names itself on every record': async (harness) => {
    const records = recordsOf(await take(harness, await harness.open(LINES), whole(LINES.length), () => true))
    expect(textsOf(records)).toEqual(LINES)
    expect(new Set(records.map((record) => record.source))).toEqual(new Set(['edge']))
  },
  'offsets rise by one': async (harness) => {
    const records = recordsOf(await take(harness, await harness.open(LINES), whole(LINES.length), () => true))
    const first = records[0]?.offset ?? Number.NaN
    expect(records.map((record) => record.offset)).toEqual(LINES.map((_, i) => first + i))
  },
  'what was not acknowledged comes again': async (harness) => {
    const source = await harness.open(LINES)
    const seen = await take(
      harness,
      source,
      (batches) => batches.length >= 2,
      (index) => index === 0,
    )
    const acknowledged = seen[0]?.records.length ?? 0
    const next = await harness.again(source)
    const records = recordsOf(await take(harness, next, whole(LINES.length - acknowledged), () => true))
    expect(textsOf(records)).toEqual(LINES.slice(acknowledged))
  },
  'a record that comes again has the same position': async (harness) => {
    const source = await harness.open(LINES)
    const before = recordsOf(
      await take(
        harness,
        source,
        (batches) => batches.length >= 1,
        () => false,
      ),
    )
    const after = recordsOf(
      await take(harness, await harness.again(source), whole(before.length), () => true),
    )
    const position = ({ topic, partition, offset }: SourcedRecord) => ({ topic, partition, offset })
    expect(after.slice(0, before.length).map(position)).toEqual(before.map(position))
  },
  'stopping ends the iteration, soon and without an error': async (harness) => {
    const source = await harness.open(LINES)
    const stop = new AbortController()
    let late = 0
    const reading = (async () => {
      for await (const batch of source.batches(stop.signal)) {
        if (stop.signal.aborted) late += 1
        if (late > 10) return
        await batch.ack()
        stop.abort()
      }
    })()
    const stuck = new Promise((_, reject) => {
      setTimeout(() => reject(new Error('the source does not end')), harness.patienceMs).unref()
    })
    await Promise.race([reading, stuck])
    expect(late).toBeLessThanOrEqual(1)
  },
} as const satisfies Record<string, Check>

export type RawSourceCheck = keyof typeof RAW_SOURCE_CHECKS
export const RAW_SOURCE_CHECK_NAMES = Object.keys(RAW_SOURCE_CHECKS) as RawSourceCheck[]
