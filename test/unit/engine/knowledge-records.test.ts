import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { chained } from '../../../engine/control-list.ts'
import { applyControl, encodeEffect } from '../../../engine/control-records.ts'
import { BOUNDARY_MS } from '../../../engine/knowledge.ts'
import { type MergedKnowledge, type PopulationName, sealKnowledge } from '../../../engine/merged-knowledge.ts'
import { FROZEN_KEY, PartitionState, storedPrior } from '../../../engine/partition-state.ts'
import { DetectWorker } from '../../../engine/worker.ts'
import type { EventLog, LogRecord } from '../../../ingest/source.ts'
import { MemoryDisk, MemoryStore } from '../../contracts/stores/memory-store.ts'
import { learntElsewhere } from '../../property/engine/streams.ts'
import { call, consumer, MONDAY, partition, settingsFor } from '../../scenarios/engine/traffic.ts'

const nothing = () => undefined
const B = BOUNDARY_MS

function version(number: number, cutAt = MONDAY, population: PopulationName = 'known'): MergedKnowledge {
  return sealKnowledge(population, number, cutAt, learntElsewhere(40, 7))
}

function wish(made: MergedKnowledge) {
  const body = encodeEffect({ kind: 'knowledge', ...made })
  return { id: `knowledge-${made.population}-${made.version}`, kind: 'knowledge', body }
}

/** Keeps the whole control list, so that it can be looked at. */
class KeepingStore extends MemoryStore {
  override async open(number: number) {
    return Object.assign(await super.open(number), { trim: async () => undefined })
  }
}

/** A worker with one of several partitions; its clock stands still unless it is moved. */
async function owner(store = new KeepingStore(new MemoryDisk()), start = MONDAY) {
  let now = start
  let next = 0
  const events: AccessEvent[] = []
  const record = (offset: number): LogRecord => ({
    offset,
    receivedAt: MONDAY,
    source: 'test',
    bytes: Buffer.from(`r${offset}`),
  })
  const log: EventLog = {
    partitions: 4,
    append: async () => undefined,
    read: async () => undefined,
    at: async (_, offset) => record(offset),
    release: async () => undefined,
    close: async () => undefined,
  }
  const worker = new DetectWorker(
    {
      store,
      log,
      detectors: DETECTORS,
      settings: () => settingsFor(),
      maxPrincipals: 1_000,
      identityKey: new Uint8Array(32),
      seed: 1,
      decode: (r, to) => to.event(events[r.offset]!),
      observer: { judged: nothing, redelivered: nothing, checkpointed: nothing, ownership: nothing },
      onOutbox: nothing,
      outboxReaders: [],
      onLost: async () => undefined,
      clock: { now: () => wallTime(now) },
      logger: { info: nothing, warn: nothing, error: nothing },
      ticks: false,
    },
    AbortSignal.timeout(60_000),
  )
  next = await worker.assigned(0)
  const engine = worker.partitions()[0]!
  const feed = async (times: readonly number[], caughtUp: boolean) => {
    now += 1_000
    const records = times.map((time) => {
      const offset = next++
      events[offset] = call(time, consumer(`c${offset}`), {
        source: { topic: 'test', partition: 0, offset, index: 0 },
      })
      return record(offset)
    })
    await worker.records(0, records, caughtUp)
  }
  return {
    store,
    worker,
    engine,
    feed,
    at: (time: number) => {
      now = time
    },
    taken: () => engine.knowledge.standing.taken?.version ?? 0,
  }
}

/** Knowledge records of partition 0: version and position. */
async function stand(store: MemoryStore): Promise<readonly string[]> {
  return store
    .data(0)
    .control.filter(({ kind }) => kind === 'knowledge')
    .map(({ afterOffset, body }) => {
      const { version } = JSON.parse((JSON.parse(body) as { body: string }).body) as MergedKnowledge
      return `${version}@${afterOffset}`
    })
}

async function waiting(store: MemoryStore): Promise<readonly string[]> {
  return [...store.data(0).requests.keys()]
}

describe('a wish that a partition take knowledge', () => {
  it('becomes one record at a stated position, however often it is asked', async () => {
    const { store, feed, taken, engine } = await owner()
    await feed([MONDAY + B, MONDAY + B + 1], false)
    await store.request(0, wish(version(3)))
    await feed([], false)
    expect(await stand(store)).toEqual(['3@1'])
    expect(taken()).toBe(3)
    await store.request(0, wish(version(3)))
    await store.request(0, wish(version(2)))
    await feed([MONDAY + B + 2], false)
    expect(await stand(store)).toEqual(['3@1'])
    expect(await waiting(store)).toEqual([])
    // In force for the callers that a gateway vouches for, and for strangers while too few of them are known.
    expect(engine.known.active.principals).toBe(40)
    expect(engine.strangers.active).toBe(engine.known.active)
  })

  it('is known to the next owner before any checkpoint says so', async () => {
    const store = new KeepingStore(new MemoryDisk())
    const open = store.open.bind(store)
    store.open = async (number) =>
      Object.assign(await open(number), { commit: () => new Promise<void>(nothing) })
    const first = await owner(store)
    await store.request(0, wish(version(3)))
    await first.feed([MONDAY + B, MONDAY + B + 1], false)
    expect(await stand(store)).toEqual(['3@1'])
    // Killed here. Whoever asked cannot see that it was heard, and another was slow to ask.
    store.open = open
    await store.request(0, wish(version(3)))
    await store.request(0, wish(version(1)))
    const second = await owner(store)
    second.at(MONDAY + 10 * B)
    await second.feed([MONDAY + B], true)
    expect(second.taken()).toBe(0)
    expect(await stand(store)).toEqual(['3@1'])
    await second.feed([MONDAY + B + 1], false)
    expect(second.taken()).toBe(3)
    expect(await waiting(store)).toEqual([])
    expect(await stand(store)).toEqual(['3@1'])
  })

  it('waits for its time and holds nothing else up', async () => {
    const { store, feed, taken } = await owner()
    await feed([MONDAY + 1, MONDAY + 2], false)
    await store.request(0, wish(version(1)))
    await store.request(0, { id: 't', kind: 'tick', body: encodeEffect({ kind: 'tick', time: MONDAY + 5 }) })
    await feed([MONDAY + B - 1], false)
    expect(await waiting(store)).toEqual(['knowledge-known-1'])
    expect(taken()).toBe(0)
    // A clock follows several calls, not the first of them.
    await feed(new Array<number>(5).fill(MONDAY + B), false)
    expect(await waiting(store)).toEqual([])
    expect(taken()).toBe(1)
  })

  it('where nobody calls is taken two minutes after its time, but not while calls wait to be judged', async () => {
    const { store, feed, taken, at } = await owner()
    await feed([MONDAY + 1, MONDAY + 2], false)
    await store.request(0, wish(version(1)))
    at(MONDAY + B + 118_000)
    await feed([], true)
    expect(taken()).toBe(0)
    await feed([], false)
    expect(taken()).toBe(0)
    await feed([], true)
    expect(taken()).toBe(1)
  })

  it('reaches a partition that has judged nobody yet, so that its first caller is no stranger', async () => {
    const { store, feed, engine, at } = await owner()
    at(MONDAY + 10 * B)
    await store.request(0, wish(version(1)))
    await feed([], true)
    await feed([MONDAY + 10 * B], true)
    expect(engine.known.active.prior.center[0]).toBeGreaterThan(5)
  })

  it.each([
    ['was damaged', { hash: 'other' }],
    ['has sums of another release', sealKnowledge('known', 1, MONDAY, Float64Array.of(1, 2, 3))],
    ['is about callers that this release does not tell apart', { population: 'robots' as PopulationName }],
  ])('is dropped when it %s, and the partition goes on', async (_, damage) => {
    const { store, feed, taken } = await owner()
    await store.request(0, wish({ ...version(1), ...damage }))
    await feed([MONDAY + B, MONDAY + B + 1], false)
    await feed([MONDAY + B + 2], false)
    expect(await waiting(store)).toEqual([])
    expect(await stand(store)).toEqual([])
    expect(taken()).toBe(0)
  })
})

describe('knowledge of all partitions in force', () => {
  const apply = (engine: ReturnType<typeof partition>, made: MergedKnowledge) => {
    const { record } = chained('', 0, 'knowledge', encodeEffect({ kind: 'knowledge', ...made }))
    applyControl(engine, { ...record, seq: 1 }, new PartitionState(engine, new Uint8Array(32)))
  }

  it('takes the place of what the partition cut itself, whose cuts go on to be merged', () => {
    const engine = partition()
    engine.tick(MONDAY)
    apply(engine, version(1))
    const { active } = engine.known
    expect(active.principals).toBe(40)
    engine.knowledge.sums.prior.count.fill(90)
    engine.tick(MONDAY + B)
    engine.tick(MONDAY + 2 * B)
    engine.tick(MONDAY + 9 * B)
    expect(engine.known.active.prior).toBe(active.prior)
    expect(engine.knowledge.standing.cutAt).toBe(MONDAY + 9 * B)
  })

  it('never goes back to an earlier version', () => {
    const engine = partition()
    apply(engine, version(5))
    const { active } = engine.known
    apply(engine, sealKnowledge('known', 4, MONDAY, learntElsewhere(90, 2)))
    apply(engine, sealKnowledge('known', 5, MONDAY, learntElsewhere(90, 2)))
    expect(engine.known.active).toBe(active)
    apply(engine, sealKnowledge('known', 6, MONDAY, learntElsewhere(90, 2)))
    expect(engine.known.active.principals).toBe(90)
  })

  it('of strangers moves nothing of the others', () => {
    const engine = partition()
    const { active } = engine.known
    apply(engine, version(1, MONDAY, 'strangers'))
    expect(engine.known.active).toBe(active)
    expect(engine.strangers.active.principals).toBe(40)
  })

  it('stops a partition whose control list holds a version that it cannot read', () => {
    expect(() => apply(partition(), { ...version(1), hash: 'other' })).toThrow(
      expect.objectContaining({ code: 'STORE_NEWER_LAYOUT' }),
    )
  })

  it('is shown to readers of the store', async () => {
    const { store, worker, feed } = await owner()
    await feed([MONDAY + B, MONDAY + B + 1], false)
    await store.request(0, wish(version(1)))
    await feed([], false)
    await worker.close()
    const [bytes] = await store.read(0, [FROZEN_KEY])
    expect(storedPrior(bytes!).center[0]).toBeGreaterThan(5)
  })
})
