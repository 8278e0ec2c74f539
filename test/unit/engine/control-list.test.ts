import { describe, expect, it } from 'vitest'
import type { ControlRecord, PartitionStore, StateStore } from '../../../baseline/store.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { bodyOf, chained, verifyChain } from '../../../engine/control-list.ts'
import { encodeEffect } from '../../../engine/control-records.ts'
import { OwnedPartition } from '../../../engine/owned-partition.ts'
import { Partition } from '../../../engine/partition.ts'
import { PartitionState } from '../../../engine/partition-state.ts'
import { DEFAULT_SETTINGS, type EngineSettings } from '../../../engine/settings.ts'
import { MemoryDisk, MemoryStore } from '../../contracts/stores/memory-store.ts'

const tick = (time: number) => encodeEffect({ kind: 'tick', time })

function list(count: number): ControlRecord[] {
  const records: ControlRecord[] = []
  let head = ''
  for (let seq = 1; seq <= count; seq++) {
    const made = chained(head, seq * 10, 'tick', tick(seq))
    records.push({ ...made.record, seq })
    head = made.hash
  }
  return records
}

describe('the control list', () => {
  it('is read as it was written, from the start or from where a state ends', () => {
    const records = list(4)
    const whole = verifyChain(3, '', records)
    expect(whole.records).toEqual(records)
    expect(verifyChain(3, bodyOf(records[1]!).hash, records.slice(2))).toEqual({
      records: records.slice(2),
      head: whole.head,
    })
  })

  it.each([
    ['at another position', (r: ControlRecord[]) => Object.assign(r[1]!, { afterOffset: 21 })],
    ['of another kind', (r: ControlRecord[]) => Object.assign(r[1]!, { kind: 'settings' })],
    [
      'with another effect',
      (r: ControlRecord[]) =>
        Object.assign(r[1]!, { body: JSON.stringify({ ...bodyOf(r[1]!), body: tick(99) }) }),
    ],
    ['that is missing', (r: ControlRecord[]) => r.splice(1, 1)],
    ['put before its predecessor', (r: ControlRecord[]) => r.splice(1, 2, r[2]!, r[1]!)],
  ])('refuses a record %s', (_, damage) => {
    const records = list(4).map((record) => ({ ...record }))
    damage(records)
    expect(() => verifyChain(3, '', records)).toThrow(/partition 3: control record [23] is not the one/)
  })

  it('takes a record once whose append was repeated', () => {
    const records = list(2)
    const again = [records[0]!, { ...records[0]!, seq: 2 }, { ...records[1]!, seq: 3 }]
    expect(verifyChain(0, '', again).records.map(({ seq }) => seq)).toEqual([2, 3])
  })
})

const SETTINGS: EngineSettings = { version: 1, values: DEFAULT_SETTINGS, modes: [], allow: [] }

async function owner(store: StateStore, settings = SETTINGS) {
  const partition = new Partition({ detectors: DETECTORS, settings, maxPrincipals: 100, seed: 1 })
  const state = new PartitionState(partition, new TextEncoder().encode('key'))
  const opened: PartitionStore = await store.open(0)
  const owned = new OwnedPartition({
    store: opened,
    partition,
    state,
    decode: () => undefined,
    observer: { judged: () => undefined, redelivered: () => undefined },
    insist: (work) => work(),
    onOutbox: () => undefined,
  })
  await owned.load()
  const read = (offset: number) =>
    owned.fold([{ offset, bytes: Buffer.from(`${offset}`), receivedAt: 1, source: 's' }])
  const stand = async () => (await opened.control(0)).map(({ afterOffset, kind }) => `${kind}@${afterOffset}`)
  return { owned, opened, partition, state, read, stand }
}

describe('a partition', () => {
  it('keeps the settings that it began with, whatever the next start would begin with', async () => {
    const store = new MemoryStore(new MemoryDisk())
    const first = await owner(store)
    expect(await first.stand()).toEqual(['settings@-1'])
    const next = await owner(store, {
      ...SETTINGS,
      version: 7,
      values: { ...DEFAULT_SETTINGS, quietSeconds: 60 },
    })
    expect(next.partition.settings).toEqual(SETTINGS)
    expect(await next.stand()).toEqual(['settings@-1'])
  })

  it('stamps a request behind the records that still wait for their position', async () => {
    const store = new MemoryStore(new MemoryDisk())
    const first = await owner(store)
    for (let offset = 0; offset < 5; offset++) await first.read(offset)
    await first.owned.control('tick', tick(1_000))
    // The first owner dies without a checkpoint: its successor begins at the front again.
    const next = await owner(store)
    await next.read(0)
    await store.request(0, { id: 'r', kind: 'tick', body: tick(2_000) })
    await next.owned.takeRequests()
    expect(await next.stand()).toEqual(['settings@-1', 'tick@4', 'tick@4'])
    expect(next.partition.now).toBe(0)
    for (let offset = 1; offset < 5; offset++) await next.read(offset)
    expect(next.partition.now).toBe(2_000)
  })

  it('says which control list its state reflects, and refuses another', async () => {
    const store = new MemoryStore(new MemoryDisk())
    const first = await owner(store)
    await first.read(0)
    await first.owned.control('tick', tick(1_000))
    expect(first.state.controlHash).toBe(bodyOf((await first.opened.control(0)).at(-1)!).hash)
    await first.opened.appendControl({
      afterOffset: 0,
      kind: 'tick',
      body: JSON.stringify({ body: tick(5), hash: 'guessed' }),
    })
    await expect(owner(store)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })

  it('refuses an effect of a later release', async () => {
    const store = new MemoryStore(new MemoryDisk())
    const { owned } = await owner(store)
    await expect(owned.control('tick', '{"kind":"from the future"}')).rejects.toMatchObject({
      code: 'STORE_NEWER_LAYOUT',
    })
  })
})
