import { describe, expect, it } from 'vitest'
import type { OutboxEntry, StateStore } from '../../../baseline/store.ts'
import { CurfewError } from '../../../core/errors.ts'
import { OutboxReader } from '../../../engine/outbox-reader.ts'

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** Outboxes of three partitions in memory; notes which of them are read. */
function outboxes() {
  const entries = new Map<number, OutboxEntry[]>([0, 1, 2].map((partition) => [partition, []]))
  const reads: number[] = []
  let listener: (partition: number) => void = () => undefined
  let version = 0
  const store: Pick<StateStore, 'partitions' | 'readOutbox' | 'watchOutbox' | 'getDocument' | 'putDocument'> =
    {
      partitions: async () => [...entries.keys()],
      readOutbox: async (partition, afterSeq, limit) => {
        reads.push(partition)
        return entries
          .get(partition)!
          .filter(({ seq }) => seq > afterSeq)
          .slice(0, limit)
      },
      watchOutbox: async (watch) => {
        listener = watch
        return async () => undefined
      },
      getDocument: async () => ({ version, body: '{}' }),
      putDocument: async () => ++version,
    }
  return {
    store: store as StateStore,
    reads,
    grow: (partition: number, count: number) => {
      const list = entries.get(partition)!
      for (let i = 0; i < count; i++) {
        const seq = list.length + 1
        list.push({ seq, id: `${partition}/${seq}`, kind: 'alert', body: '{}' })
      }
    },
    tell: (partition: number) => listener(partition),
  }
}

/** Runs a reader until it took `count` entries. */
async function take(rig: ReturnType<typeof outboxes>, count: number, whenFirstPassIsOver: () => void) {
  const stop = new AbortController()
  const taken: string[] = []
  let enough: () => void = () => undefined
  const all = new Promise<void>((resolve) => {
    enough = resolve
  })
  const reader = new OutboxReader(
    'test',
    rig.store,
    async ({ id }) => {
      taken.push(id)
      if (taken.length === count) enough()
    },
    quiet,
  )
  const running = reader.run(stop.signal)
  while (rig.reads.length < 3) await new Promise(setImmediate)
  rig.reads.length = 0
  whenFirstPassIsOver()
  await all
  const reads = [...rig.reads]
  stop.abort()
  await running
  return { taken, reads }
}

describe('reader of the outboxes', () => {
  it('reads the one partition that is said to have grown', async () => {
    const rig = outboxes()
    const { taken, reads } = await take(rig, 2, () => {
      rig.grow(1, 2)
      rig.tell(1)
    })
    expect(taken).toEqual(['1/1', '1/2'])
    expect(reads).toEqual([1])
  })

  it('reads on where a page was full', async () => {
    const rig = outboxes()
    const { taken } = await take(rig, 1_201, () => {
      rig.grow(2, 1_201)
      rig.tell(2)
    })
    expect(new Set(taken).size).toBe(1_201)
  })

  it('begins although the store is away at first', async () => {
    const rig = outboxes()
    const { getDocument, watchOutbox } = rig.store
    const away = new CurfewError('STORE_UNREACHABLE', 'away', { retriable: true })
    let asked = 0
    rig.store.getDocument = async (name) => {
      if (asked++ === 0) throw away
      return await getDocument(name)
    }
    let watched = 0
    rig.store.watchOutbox = async (watch) => {
      if (watched++ === 0) throw away
      return await watchOutbox(watch)
    }
    const { taken } = await take(rig, 1, () => rig.grow(0, 1))
    expect(taken).toEqual(['0/1'])
  })

  it('finds what nobody told it about', async () => {
    const rig = outboxes()
    const { taken } = await take(rig, 1, () => rig.grow(0, 1))
    expect(taken).toEqual(['0/1'])
  })

  it('hands on nothing in front of what an earlier process left', async () => {
    const rig = outboxes()
    rig.grow(0, 2)
    const taken: string[] = []
    let goOn: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const reader = new OutboxReader(
      'test',
      rig.store,
      async ({ id }) => {
        taken.push(id)
        if (id === '0/1') await held
      },
      quiet,
    )
    const stop = new AbortController()
    const running = reader.run(stop.signal)
    const made = (id: string) => reader.handOn([{ id, kind: 'alert', body: '{}' }])
    while (taken.length < 1) await new Promise(setImmediate)
    rig.grow(0, 1)
    made('0/3')
    expect(taken).toEqual(['0/1'])
    goOn()
    rig.tell(0)
    while (!taken.includes('0/3')) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(taken).toEqual(['0/1', '0/2', '0/3'])
    for (let pass = rig.reads.length; rig.reads.length < pass + 3; )
      await new Promise((resolve) => setTimeout(resolve, 20))
    made('0/4')
    expect(taken.at(-1)).toBe('0/4')
    stop.abort()
    await running
  })
})
