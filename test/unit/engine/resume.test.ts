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
