import { describe, expect, it } from 'vitest'
import type { RawBatch, RawSource, SourcedRecord } from '../../../ingest/source.ts'
import {
  RAW_SOURCE_CHECK_NAMES,
  RAW_SOURCE_CHECKS,
  type RawSourceCheck,
  type RawSourceHarness,
} from './raw-source-contract.ts'

/** A right source in memory; each twin below breaks one thing of it. */
class MemorySource implements RawSource {
  readonly name = 'edge'
  readonly lines: readonly string[]
  acknowledged = 0

  constructor(lines: readonly string[]) {
    this.lines = lines
  }

  async *batches(stop: AbortSignal): AsyncGenerator<RawBatch> {
    for (let at = this.acknowledged; at < this.lines.length && !this.hears(stop); at += 500) {
      const end = Math.min(at + 500, this.lines.length)
      this.handed(end)
      yield { records: this.records(at, end), ack: async () => this.take(end) }
    }
    while (!this.hears(stop)) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  records(at: number, end: number): SourcedRecord[] {
    return this.lines.slice(at, end).map((line, i) => this.record(line, at + i))
  }

  record(line: string, offset: number): SourcedRecord {
    return { source: this.name, bytes: Buffer.from(line), receivedAt: 0, topic: 't', partition: 0, offset }
  }

  hears(stop: AbortSignal): boolean {
    return stop.aborted
  }

  handed(_end: number): number {
    return this.acknowledged
  }

  take(end: number): void {
    this.acknowledged = Math.max(this.acknowledged, end)
  }
}

class Reorders extends MemorySource {
  override records(at: number, end: number): SourcedRecord[] {
    return super.records(at, end).reverse()
  }
}

class SkipsOffsets extends MemorySource {
  override record(line: string, offset: number): SourcedRecord {
    return super.record(line, offset * 2)
  }
}

class AcknowledgesItself extends MemorySource {
  override handed(end: number): number {
    this.take(end)
    return end
  }
}

class NumbersAnew extends MemorySource {
  #count = 0
  override record(line: string): SourcedRecord {
    this.#count += 1
    return super.record(line, this.#count)
  }
}

class DoesNotStop extends MemorySource {
  override hears(): boolean {
    return false
  }
}

const TWINS: readonly (readonly [new (lines: readonly string[]) => MemorySource, RawSourceCheck])[] = [
  [Reorders, 'keeps the order, and names itself on every record'],
  [SkipsOffsets, 'offsets rise by one'],
  [AcknowledgesItself, 'what was not acknowledged comes again'],
  [NumbersAnew, 'a record that comes again has the same position'],
  [DoesNotStop, 'stopping ends the iteration, soon and without an error'],
]

function harnessOf(make: new (lines: readonly string[]) => MemorySource): RawSourceHarness {
  return { patienceMs: 500, open: async (lines) => new make(lines), again: async (source) => source }
}

describe('raw source contract', () => {
  it.each(RAW_SOURCE_CHECK_NAMES)('a right source passes: %s', (name) =>
    RAW_SOURCE_CHECKS[name](harnessOf(MemorySource)),
  )

  it.each(TWINS.map(([twin, check]) => [twin.name, check, twin] as const))(
    '%s fails: %s',
    async (_, check, twin) => {
      await expect(RAW_SOURCE_CHECKS[check](harnessOf(twin))).rejects.toThrow()
    },
  )

  it('has a twin for every check', () => {
    expect(TWINS.map(([, check]) => check).sort()).toEqual([...RAW_SOURCE_CHECK_NAMES].sort())
  })
})
