import { describe, expect, it } from 'vitest'
import { weighInPrior } from '../../../baseline/prior.ts'
import type { ControlRequest } from '../../../baseline/store.ts'
import { CurfewError } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'
import { BOUNDARY_MS, encodeSums, KnowledgeKeeper, type Taken } from '../../../engine/knowledge.ts'
import {
  KnowledgeMerger,
  type KnowledgeReport,
  knowledgeDocument,
  PATIENCE_MS,
} from '../../../engine/knowledge-merger.ts'
import { type MergedKnowledge, sumsIn } from '../../../engine/merged-knowledge.ts'
import { cutKey, standingKey } from '../../../engine/partition-state.ts'
import { MemoryDisk, MemoryStore } from '../../contracts/stores/memory-store.ts'
import { MONDAY } from '../../scenarios/engine/traffic.ts'

const PARTITIONS = 3
const nothing = () => undefined

/** A partition as others see it: what its owner committed. */
class Published {
  private readonly store: MemoryStore
  private readonly partition: number
  private readonly keeper = new KnowledgeKeeper()

  constructor(store: MemoryStore, partition: number) {
    this.store = store
    this.partition = partition
  }

  /** Learns one more caller, passes a boundary and commits its cut. */
  async cutAt(boundary: number): Promise<Float64Array> {
    weighInPrior(this.keeper.sums.prior, 0, 20, this.partition + 1, 4, 1)
    this.keeper.observe(boundary)
    await this.commit()
    return encodeSums(this.keeper.sums)
  }

  /** Takes what it was asked to, and commits. Returns the ids of the requests. */
  async takeAll(): Promise<readonly string[]> {
    const opened = await this.store.open(this.partition)
    const requests = await opened.requests()
    for (const { body } of requests) {
      const made = JSON.parse(body) as MergedKnowledge
      this.keeper.take(made satisfies Taken, sumsIn(made)!)
    }
    await opened.settleRequests(requests.map(({ id }) => id))
    await this.commit()
    return requests.map(({ id }) => id)
  }

  private async commit(): Promise<void> {
    const opened = await this.store.open(this.partition)
    const { frozen } = this.keeper.export()
    if (frozen === null) return
    const puts = new Map([
      [cutKey('known'), new Uint8Array(frozen.buffer)],
      [standingKey('known'), Buffer.from(JSON.stringify(this.keeper.standing))],
    ])
    await opened.commit({ expected: opened.position, position: opened.position, puts, deletes: [] })
  }
}

function installation() {
  const store = new MemoryStore(new MemoryDisk())
  let now = MONDAY
  const reports: KnowledgeReport[] = []
  const warnings: string[] = []
  const process = (through: MemoryStore = store) =>
    new KnowledgeMerger({
      store: through,
      partitions: PARTITIONS,
      clock: { now: () => wallTime(now) },
      logger: { info: nothing, warn: (_, message) => void warnings.push(message), error: nothing },
      observer: { knowledge: (population, report) => population === 'known' && reports.push(report) },
    })
  const newest = async () => {
    const { version, body } = await store.getDocument(knowledgeDocument('known'))
    return version === 0 ? null : (JSON.parse(body) as { knowledge: MergedKnowledge }).knowledge
  }
  const waiting = async (partition: number): Promise<readonly ControlRequest[]> =>
    (await store.open(partition)).requests()
  const ids = async (partition: number) => (await waiting(partition)).map(({ id }) => id)
  return {
    store,
    process,
    newest,
    waiting,
    ids,
    reports,
    warnings,
    partitions: Array.from({ length: PARTITIONS }, (_, i) => new Published(store, i)),
    later: (ms: number) => {
      now += ms
    },
    at: (time: number) => {
      now = time
    },
  }
}

const B = BOUNDARY_MS

describe('knowledge of all partitions', () => {
  it('is merged as soon as all have passed a boundary, and asked for one boundary later', async () => {
    const { partitions, process, newest, ids, waiting, at } = installation()
    const merger = process()
    const sums: Float64Array[] = []
    for (const partition of partitions) {
      expect(await newest()).toBeNull()
      sums.push(await partition.cutAt(MONDAY))
      await merger.pass()
    }
    const made = (await newest())!
    expect(made).toMatchObject({ population: 'known', version: 1, cutAt: MONDAY })
    expect(sumsIn(made)).toEqual(sums[0]!.map((v, i) => v + sums[1]![i]! + sums[2]![i]!))
    await merger.pass()
    expect(await ids(0)).toEqual([])
    at(MONDAY + B - 1)
    await merger.pass()
    expect(await ids(0)).toEqual([])
    at(MONDAY + B)
    await merger.pass()
    for (const partition of [0, 1, 2]) expect(await ids(partition)).toEqual(['knowledge-known-1'])
    expect(JSON.parse((await waiting(2))[0]!.body)).toEqual({ kind: 'knowledge', ...made })
  })

  it('is asked for by event time where the wall clock is behind', async () => {
    const { partitions, process, ids, at } = installation()
    at(MONDAY - 86_400_000)
    for (const partition of partitions) await partition.cutAt(MONDAY)
    await process().pass()
    await partitions[1]!.cutAt(MONDAY + B)
    await process().pass()
    expect(await ids(0)).toEqual(['knowledge-known-1'])
  })

  it('waits for a laggard no longer than its patience, then counts what it last published', async () => {
    const { partitions, process, newest, reports, later } = installation()
    const merger = process()
    const early = await partitions[2]!.cutAt(MONDAY - B)
    const first = await partitions[0]!.cutAt(MONDAY)
    const second = await partitions[1]!.cutAt(MONDAY)
    await merger.pass()
    later(PATIENCE_MS - 1)
    await merger.pass()
    expect(await newest()).toBeNull()
    later(1)
    await merger.pass()
    const made = (await newest())!
    expect(made.cutAt).toBe(MONDAY)
    expect(sumsIn(made)).toEqual(early.map((v, i) => v + first[i]! + second[i]!))
    expect(reports.at(-1)).toEqual({ version: 1, inForce: 0, cutAt: MONDAY, missing: 1 })
    // It comes after all: what was given stays as it was, the next version has it.
    const late = await partitions[2]!.cutAt(MONDAY)
    await merger.pass()
    later(10 * PATIENCE_MS)
    await merger.pass()
    expect(await newest()).toEqual(made)
    await partitions[0]!.cutAt(MONDAY + B)
    await merger.pass()
    later(PATIENCE_MS)
    await merger.pass()
    expect((await newest())!.version).toBe(2)
    expect(sumsIn((await newest())!)![0]).toBe(first[0]! + 1 + second[0]! + late[0]!)
  })

  it('does without a partition that never had an owner', async () => {
    const { partitions, process, newest, reports, later } = installation()
    await partitions[0]!.cutAt(MONDAY)
    const merger = process()
    await merger.pass()
    later(PATIENCE_MS)
    await merger.pass()
    expect(await newest()).toMatchObject({ version: 1 })
    expect(reports.at(-1)).toMatchObject({ missing: 2 })
  })

  it('does not pile up in front of a partition without owner, which then gets the newest', async () => {
    const { partitions, process, ids, reports, at } = installation()
    const merger = process()
    for (const partition of partitions) await partition.cutAt(MONDAY)
    await merger.pass()
    for (let n = 1; n <= 5; n++) {
      at(MONDAY + n * B)
      await merger.pass()
      for (const p of [0, 1]) {
        await partitions[p]!.takeAll()
        await partitions[p]!.cutAt(MONDAY + n * B)
      }
      await merger.pass()
      at(MONDAY + n * B + PATIENCE_MS)
      await merger.pass()
    }
    expect(await ids(2)).toEqual(['knowledge-known-1'])
    expect(reports.at(-1)).toMatchObject({ version: 6, inForce: 0 })
    at(MONDAY + 6 * B)
    expect(await partitions[2]!.takeAll()).toEqual(['knowledge-known-1'])
    await merger.pass()
    expect(await ids(2)).toEqual(['knowledge-known-6'])
  })

  it('is asked for again where a partition lost what it had taken', async () => {
    const { store, partitions, process, ids, at } = installation()
    const merger = process()
    for (const partition of partitions) await partition.cutAt(MONDAY)
    await merger.pass()
    at(MONDAY + B)
    await merger.pass()
    // As after a flush: the request is gone and nothing says that it was taken.
    store.data(2).requests.clear()
    for (let n = 1; n <= 144; n++) {
      at(MONDAY + n * B)
      for (const p of [0, 1]) {
        await partitions[p]!.takeAll()
        await partitions[p]!.cutAt(MONDAY + n * B)
      }
      await merger.pass()
      at(MONDAY + n * B + PATIENCE_MS)
      await merger.pass()
    }
    at(MONDAY + 145 * B)
    await merger.pass()
    expect(await ids(2)).toEqual(['knowledge-known-145'])
  })
})

describe('a process that dies while it merges', () => {
  const ready = async () => {
    const made = installation()
    for (const partition of made.partitions) await partition.cutAt(MONDAY)
    return made
  }

  it('behind the document leaves the asking to whoever comes next', async () => {
    const { process, ids, at } = await ready()
    await process().pass()
    at(MONDAY + B)
    await process().pass()
    for (const partition of [0, 1, 2]) expect(await ids(partition)).toEqual(['knowledge-known-1'])
  })

  it('among the requests leaves the rest, and nothing is doubled; no version replaces one that was not asked for', async () => {
    const { store, process, ids, at, partitions, newest } = await ready()
    await process().pass()
    at(MONDAY + B)
    const dying = new MemoryStore(store.disk)
    dying.request = async (partition, request) => {
      if (partition > 0) throw new CurfewError('STORE_UNREACHABLE', 'dead', { retriable: true })
      await store.request(partition, request)
    }
    for (const partition of partitions) await partition.cutAt(MONDAY + B)
    const dead = process(dying)
    await expect(dead.pass()).rejects.toThrow('dead')
    expect((await newest())!.version).toBe(1)
    await process().pass()
    for (const partition of [0, 1, 2]) expect(await ids(partition)).toEqual(['knowledge-known-1'])
    expect((await newest())!.version).toBe(2)
  })

  it('beside others makes one version of a boundary', async () => {
    const { process, newest, ids, at } = await ready()
    await Promise.all([process(), process(), process()].map((merger) => merger.pass()))
    expect((await newest())!.version).toBe(1)
    at(MONDAY + B)
    await Promise.all([process(), process(), process()].map((merger) => merger.pass()))
    await process().pass()
    expect(await ids(1)).toEqual(['knowledge-known-1'])
  })

  it('together with the document lets the versions go on where the partitions are', async () => {
    const { store, partitions, process, newest, at } = await ready()
    const merger = process()
    await merger.pass()
    at(MONDAY + B)
    await merger.pass()
    for (const partition of partitions) await partition.takeAll()
    store.disk.documents.clear()
    await process().pass()
    expect((await newest())!.version).toBe(2)
  })
})

describe('what stands in the way', () => {
  it('of one partition, an inbox that is full, keeps no other from what is known', async () => {
    const { store, partitions, process, ids, warnings, at } = installation()
    for (const partition of partitions) await partition.cutAt(MONDAY)
    await process().pass()
    at(MONDAY + B)
    const full = new MemoryStore(store.disk)
    full.request = async (partition, request) => {
      if (partition === 0) throw new CurfewError('LOG_FULL', 'many wait', { retriable: true })
      await store.request(partition, request)
    }
    await process(full).pass()
    expect(await ids(2)).toEqual(['knowledge-known-1'])
    expect(warnings).toEqual(['a partition cannot be asked'])
  })

  it('of all, a store that is away, is told once and passes', async () => {
    const { store, partitions, process, newest, warnings } = installation()
    for (const partition of partitions) await partition.cutAt(MONDAY)
    const away = new MemoryStore(store.disk)
    let failures = 3
    away.partitions = async () => {
      if (failures-- > 0) throw new CurfewError('STORE_UNREACHABLE', 'away', { retriable: true })
      return store.partitions()
    }
    const stop = new AbortController()
    const running = process(away).run(stop.signal, 1)
    await expect.poll(newest).not.toBeNull()
    stop.abort()
    await running
    expect(warnings).toEqual(['knowledge cannot be merged'])
  })
})
