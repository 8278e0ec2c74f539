import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AccessEvent, profileKey } from '../../../core/event.ts'
import { partitionOf } from '../../../core/hash.ts'
import { wallTime } from '../../../core/time.ts'
import { emptySums, encodeSums, SUMS_LENGTH } from '../../../engine/knowledge.ts'
import { KnowledgeMerger, knowledgeDocument } from '../../../engine/knowledge-merger.ts'
import { type MergedKnowledge, sealKnowledge, sumsIn } from '../../../engine/merged-knowledge.ts'
import { packIntegers, unpackIntegers } from '../../../engine/packed-sums.ts'
import { MemoryDisk, MemoryStore } from '../../contracts/stores/memory-store.ts'
import { consumer, DAY_MS, inOrder, MONDAY, officeHabit, routine } from '../../scenarios/engine/traffic.ts'
import { StoredPartition } from './stored-partition.ts'

const PARTITIONS = 4
const nothing = () => undefined
/** Nothing is an incident, so that what one caller teaches does not depend on when others call. */
const CALM = { values: { minIncidentSurprise: 30 } }
/** In force everywhere from the start, so that all lessons are bounded by the same expectations. */
const FIRST = {
  kind: 'knowledge',
  ...sealKnowledge('known', 1, MONDAY - DAY_MS, encodeSums(emptySums())),
} as const

const integers = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      fc.integer({ min: -200, max: 200 }),
      fc.integer({ min: -(2 ** 51) + 1, max: 2 ** 51 - 1 }),
    ),
    { maxLength: 60 },
  )
  .map((values) => Float64Array.from(values))

describe('packed integers', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(integers, (values) => {
        expect(unpackIntegers(packIntegers(values), values.length)).toEqual(values)
      }),
    )
  })

  it('are refused when there are more or fewer of them', () => {
    fc.assert(
      fc.property(integers, fc.integer({ min: 1, max: 70 }), (values, more) => {
        expect(unpackIntegers(packIntegers(values), values.length + more)).toBeNull()
        if (values.length > 0) expect(unpackIntegers(packIntegers(values), values.length - 1)).toBeNull()
      }),
    )
  })

  it('are refused or read as some integers, whatever the text', () => {
    fc.assert(
      fc.property(fc.base64String({ maxLength: 200 }), (text) => {
        const values = unpackIntegers(text, 20)
        if (values !== null) for (const value of values) expect(Number.isInteger(value)).toBe(true)
      }),
    )
  })

  it.each([[0.5], [Number.NaN], [2 ** 51], [-(2 ** 53)]])('cannot be made of %d', (value) => {
    expect(() => packIntegers(Float64Array.of(value))).toThrow(RangeError)
  })
})

interface Life {
  readonly callers: readonly { readonly days: number; readonly calls: number; readonly records: number }[]
  /** In which order partitions publish, and after which of them somebody merges. */
  readonly order: readonly number[]
  readonly mergeAfter: readonly number[]
}

const lives: fc.Arbitrary<Life> = fc.record({
  callers: fc.array(
    fc.record({
      days: fc.integer({ min: 1, max: 6 }),
      calls: fc.integer({ min: 1, max: 4 }),
      records: fc.integer({ min: 1, max: 400 }),
    }),
    { minLength: 4, maxLength: 24 },
  ),
  order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: PARTITIONS }),
  mergeAfter: fc.subarray([0, 1, 2, 3]),
})

function callsOf({ callers }: Life): readonly AccessEvent[] {
  return inOrder(
    ...callers.map(({ days, calls, records }, i) =>
      routine(
        {
          ...officeHabit(`c${i}`),
          principal: consumer(`c${i}`),
          callsPerHour: calls,
          recordsPerCall: records,
        },
        MONDAY,
        days,
        i,
      ),
    ),
  )
}

const END = MONDAY + 8 * DAY_MS

function lived(events: readonly AccessEvent[]): StoredPartition {
  const owned = StoredPartition.open(new Map(), CALM)
  owned.control(FIRST)
  owned.live(
    events.map((event) => ({ kind: 'event', event })),
    [],
  )
  owned.control({ kind: 'tick', time: END })
  owned.checkpoint()
  return owned
}

async function publish(store: MemoryStore, partition: number, owned: StoredPartition): Promise<void> {
  const opened = await store.open(partition)
  const { position } = opened
  await opened.commit({ expected: position, position, puts: owned.stored, deletes: [] })
}

/** The newest version after partitions published in some order while two processes merged. */
async function mergedBy(life: Life, owned: readonly StoredPartition[]): Promise<MergedKnowledge> {
  const store = new MemoryStore(new MemoryDisk())
  let now = END
  const mergers = [0, 1].map(
    () =>
      new KnowledgeMerger({
        store,
        partitions: PARTITIONS,
        clock: { now: () => wallTime(now) },
        logger: { info: nothing, warn: nothing, error: nothing },
        observer: { knowledge: nothing },
      }),
  )
  for (const partition of life.order) {
    await publish(store, partition, owned[partition]!)
    if (life.mergeAfter.includes(partition)) await Promise.all(mergers.map((merger) => merger.pass()))
    now += 1_000
  }
  await Promise.all(mergers.map((merger) => merger.pass()))
  const { body } = await store.getDocument(knowledgeDocument('known'))
  return (JSON.parse(body) as { knowledge: MergedKnowledge }).knowledge
}

describe('knowledge of all partitions', () => {
  it('is what one partition would have learnt, whoever publishes when', async () => {
    let learnt = 0
    await fc.assert(
      fc.asyncProperty(lives, async (life) => {
        const events = callsOf(life)
        const owned = Array.from({ length: PARTITIONS }, (_, partition) =>
          lived(
            events.filter((e) => partitionOf(profileKey(e.tenant, e.principal), PARTITIONS) === partition),
          ),
        )
        const merged = await mergedBy(life, owned)
        const alone = lived(events).engine.knowledge.sums
        expect(sumsIn(merged)).toEqual(encodeSums(alone))
        expect(merged.cutAt).toBe(END)
        expect(merged).toEqual(await mergedBy({ ...life, order: [3, 2, 1, 0], mergeAfter: [] }, owned))
        learnt += Math.max(...alone.prior.count)
      }),
      { numRuns: 12, endOnFailure: true },
    )
    expect(learnt).toBeGreaterThan(20)
  }, 120_000)

  it('fits into one record many times over', () => {
    const sums = new Float64Array(SUMS_LENGTH).fill(2 ** 50)
    expect(sealKnowledge('known', 1, 0, sums).sums.length).toBeLessThan(40_000)
  })
})
