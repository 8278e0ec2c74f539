import { describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import { DetectWorker } from '../../../engine/worker.ts'
import type { EventLog, LogRecord } from '../../../ingest/source.ts'
import { MemoryDisk, MemoryStore } from '../../contracts/stores/memory-store.ts'

const nothing = () => undefined

/** A worker over a log that holds the given texts. */
function worker(store: MemoryStore, texts: readonly string[]) {
  const records: LogRecord[] = texts.map((text, offset) => ({
    offset,
    bytes: Buffer.from(text),
    receivedAt: 1,
    source: 's',
  }))
  const log: EventLog = {
    partitions: 1,
    append: async () => undefined,
    read: async () => undefined,
    at: async (_, offset) => records[offset] ?? null,
    release: async () => undefined,
    close: async () => undefined,
  }
  const detecting = new DetectWorker(
    {
      store,
      log,
      outboxReaders: [],
      detectors: DETECTORS,
      settings: () => ({ version: 1, values: DEFAULT_SETTINGS, modes: [], allow: [] }),
      maxPrincipals: 100,
      identityKey: Buffer.from('key'),
      seed: 1,
      decode: nothing,
      observer: { judged: nothing, redelivered: nothing, checkpointed: nothing, ownership: nothing },
      onOutbox: nothing,
      onLost: async () => undefined,
      clock: { now: () => wallTime(0) },
      logger: { info: nothing, warn: nothing, error: nothing },
      ticks: false,
    },
    new AbortController().signal,
  )
  return { detecting, records }
}

describe('a worker that resumes', () => {
  const setUp = async () => {
    const store = new MemoryStore(new MemoryDisk())
    const { detecting, records } = worker(store, ['a', 'b', 'c'])
    await detecting.assigned(0)
    await detecting.records(0, records, true)
    await detecting.close()
    return store
  }

  it('goes on behind the record where its state ends', async () => {
    const store = await setUp()
    expect(await worker(store, ['a', 'b', 'c', 'd']).detecting.assigned(0)).toBe(3)
  })

  it.each([
    [
      'another record stands there',
      ['x', 'y', 'z', 'd'],
      /at offset 2 is not the one .* the topic was replaced/,
    ],
    ['the log is shorter', ['a'], /no longer holds offset 2/],
  ])('stops with a reason when %s', async (_, texts, reason) => {
    const store = await setUp()
    const { detecting } = worker(store, texts)
    await expect(detecting.assigned(0)).rejects.toMatchObject({
      code: 'LOG_GAP',
      message: expect.stringMatching(reason),
    })
    expect(detecting.partitions()).toEqual([])
  })
})

describe('a wish that reaches the next owner', () => {
  it('takes effect behind what an earlier owner said without it', async () => {
    const store = new MemoryStore(new MemoryDisk())
    const first = worker(store, ['a', 'b', 'c', 'd'])
    await first.detecting.assigned(0)
    await first.detecting.records(0, first.records.slice(0, 1), true)
    await first.detecting.close()
    // The record at offset 2 was judged and told, then the process was gone without a checkpoint.
    const gone = await store.open(0)
    await gone.appendOutbox([{ id: 'alr_1', kind: 'alert', body: '{}' }], 2)

    await store.request(0, { id: 'wish', kind: 'tick', body: JSON.stringify({ kind: 'tick', time: 1 }) })
    const { detecting, records } = worker(store, ['a', 'b', 'c', 'd'])
    expect(await detecting.assigned(0)).toBe(1)
    await detecting.records(0, records.slice(1, 2), false)
    const positions = async () => (await (await store.open(0)).control(0)).map((r) => r.afterOffset)
    // The settings that the partition began with are behind the checkpoint, and gone.
    expect(await positions()).toEqual([2])
  })
})
