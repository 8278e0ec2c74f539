import { describe, expect, it, vi } from 'vitest'
import type { Checkpoint, PartitionStore } from '../../../baseline/store.ts'
import { type AccessEvent, profileKey } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { openIncident } from '../../../engine/incident.ts'
import { OutboxReader } from '../../../engine/outbox-reader.ts'
import { DetectWorker } from '../../../engine/worker.ts'
import type { EventLog, LogRecord } from '../../../ingest/source.ts'
import { MemoryDisk, MemoryStore } from '../../contracts/stores/memory-store.ts'
import { call, consumer, MONDAY, settingsFor } from '../../scenarios/engine/traffic.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** A worker over memory whose clock stands still unless it is moved; it is handed records by the test. */
function rig(disk = new MemoryDisk()) {
  const store = new MemoryStore(disk)
  const commits: Checkpoint[] = []
  const open = store.open.bind(store)
  store.open = async (partition) => {
    const opened = await open(partition)
    const commit = opened.commit.bind(opened)
    const watched: PartitionStore = Object.assign(opened, {
      commit: async (checkpoint: Checkpoint) => {
        commits.push(checkpoint)
        await commit(checkpoint)
      },
    })
    return watched
  }
  let now = MONDAY
  const events = new Map<number, AccessEvent>()
  let offset = -1
  const log: EventLog = {
    partitions: 1,
    append: async () => undefined,
    read: async () => undefined,
    at: async (_, at) => record(at),
    release: async () => undefined,
    close: async () => undefined,
  }
  const worker = new DetectWorker(
    {
      store,
      log,
      detectors: DETECTORS,
      settings: () => settingsFor(),
      maxPrincipals: 100_000,
      identityKey: new Uint8Array(32),
      seed: 1,
      decode: (r, to) => to.event(events.get(r.offset)!),
      observer: {
        judged: () => undefined,
        redelivered: () => undefined,
        checkpointed: () => undefined,
        ownership: () => undefined,
      },
      onOutbox: () => undefined,
      outboxReaders: ['control'],
      onLost: async () => undefined,
      clock: { now: () => wallTime(now) },
      logger: quiet,
      ticks: false,
    },
    AbortSignal.timeout(60_000),
  )
  function record(at: number): LogRecord {
    return { offset: at, receivedAt: MONDAY, source: 'test', bytes: new TextEncoder().encode(`r${at}`) }
  }
  return {
    worker,
    store,
    commits,
    later: (ms: number) => {
      now += ms
    },
    /** One call each of callers number `from` to `to`. */
    async feed(from: number, to: number, caughtUp: boolean) {
      const records: LogRecord[] = []
      for (let i = from; i < to; i++) {
        offset++
        const source = { topic: 'test', partition: 0, offset, index: 0 }
        events.set(offset, call(MONDAY + i, consumer(`c${i}`), { source }))
        records.push(record(offset))
      }
      await worker.records(0, records, caughtUp)
    },
    /** Something to say about a caller, as the next call makes it durable. */
    incident(i: number) {
      const [engine] = worker.partitions()
      const event = call(MONDAY + i, consumer(`c${i}`))
      const incident = openIncident(event, event.time)
      engine!.book.add(profileKey(event.tenant, event.principal), incident)
      engine!.book.assess(incident, engine!.settings)
    },
    async readAll() {
      const stop = new AbortController()
      const reader = new OutboxReader('control', store, async () => undefined, quiet)
      const running = reader.run(stop.signal)
      await expect
        .poll(async () => (await store.getDocument('outbox-cursor:control')).version)
        .toBeGreaterThan(0)
      await new Promise((resolve) => setTimeout(resolve, 20))
      stop.abort()
      await running
    },
    seqs: async () => (await store.readOutbox(0, 0, 100)).map(({ seq }) => seq),
  }
}

describe('a checkpoint', () => {
  it('comes after a second, or at once when 8 MiB are dirty', async () => {
    const { worker, commits, feed, later } = rig()
    await worker.assigned(0)
    const perProfile = worker.partitions()[0]!.residents.slab.storedBytes
    const full = Math.ceil((8 * 1024 * 1024) / perProfile)
    await feed(0, full - 1, true)
    expect(commits).toHaveLength(0)
    await feed(full - 1, full, true)
    await worker.records(0, [], true)
    expect(commits).toHaveLength(1)
    expect(commits[0]!.puts.size).toBeGreaterThan(full)
    await feed(0, 10, true)
    expect(commits).toHaveLength(1)
    later(1_000)
    await feed(0, 1, true)
    await worker.close()
    expect(commits).toHaveLength(2)
  })
})

describe('the outbox', () => {
  it('loses what every reader has taken, once the checkpoint has passed it', async () => {
    const { worker, feed, incident, later, readAll, seqs } = rig()
    await worker.assigned(0)
    await feed(0, 2, true)
    incident(0)
    incident(1)
    await feed(2, 3, true)
    expect(await seqs()).toEqual([1, 2])
    later(11_000)
    await feed(3, 4, true)
    await worker.close()
    // Nobody has read: nothing may go.
    expect(await seqs()).toEqual([1, 2])

    await worker.assigned(0)
    await readAll()
    later(11_000)
    await feed(4, 5, true)
    incident(2)
    await feed(5, 6, true)
    await worker.close()
    expect(await seqs()).toEqual([3])
  })

  it('keeps everything until the records of an earlier owner are folded again', async () => {
    const disk = new MemoryDisk()
    const { worker, feed, incident, later, readAll, seqs } = rig(disk)
    await worker.assigned(0)
    await feed(0, 1, true)
    incident(0)
    await feed(1, 2, true)
    await readAll()
    later(30_000)
    // Behind, as a new owner is: the ids are what keeps the same alert from being added twice.
    await feed(2, 3, false)
    await worker.records(0, [], false)
    later(30_000)
    await feed(3, 4, false)
    await worker.records(0, [], false)
    expect(await seqs()).toEqual([1])
    await feed(4, 5, true)
    later(30_000)
    await feed(5, 6, true)
    await worker.close()
    expect(await seqs()).toEqual([])
  })
})
