import { describe, expect, it } from 'vitest'
import { Ingest, journalEntry } from '../../../cli/build-ingest.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import { wallTime } from '../../../core/time.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { Partition } from '../../../engine/partition.ts'
import { PartitionState } from '../../../engine/partition-state.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import type { SourcedRecord } from '../../../ingest/source.ts'

const CONFIG = `
sources:
  - { name: edge, kind: kafka, format: canonical, brokers: ['127.0.0.1:9092'], topics: [raw], groupId: g, gateway: { kind: kong, id: edge } }
`
const TIME = Date.parse('2026-09-07T10:00:00Z')

function raw(offset: number): SourcedRecord {
  const call = {
    time: TIME + offset,
    principal: { kind: 'sub', id: 'alice', label: 'alice', verified: true },
    method: 'GET',
    path: '/v1/orders',
  }
  const bytes = Buffer.from(JSON.stringify(call))
  return { source: 'edge', bytes, receivedAt: TIME + offset, topic: 'raw', partition: 4, offset }
}

/** Folds records in the order of the journal; returns how many calls counted. */
function counted(records: readonly SourcedRecord[], lasting: boolean): number {
  const loaded = loadConfig(CONFIG, { env: () => undefined, file: () => '' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded))
  const observer = { events: () => undefined, rejected: (reason: string) => expect(reason).toBe('') }
  const ingest = new Ingest(loaded.config, null, observer, { now: () => wallTime(TIME) })
  const settings = { version: 1, values: DEFAULT_SETTINGS, modes: [], allow: [] }
  const partition = new Partition({ detectors: DETECTORS, settings, maxPrincipals: 10, seed: 1 })
  const state = new PartitionState(partition, Buffer.from('key'))
  const source = { name: 'edge', batches: () => Promise.reject(new Error('not read here')) as never }
  let count = 0
  for (const [offset, record] of records.entries()) {
    const { bytes, receivedAt, ...kept } = journalEntry(
      { source, lasting, close: async () => undefined },
      record,
    )
    ingest.decodeJournal(
      { offset, bytes, receivedAt, ...kept },
      {
        event: (event) => {
          if (state.isNew(event.source)) count++
        },
        unreadable: () => undefined,
      },
    )
  }
  return count
}

describe('a raw topic in front of the local journal', () => {
  it('counts once what a crash made it deliver again', () => {
    const delivered = [raw(10), raw(11), raw(12), raw(11), raw(12), raw(13)]
    expect(counted(delivered, true)).toBe(4)
  })

  it('cannot tell without the position at the source', () => {
    expect(counted([raw(10), raw(11), raw(11)], false)).toBe(3)
  })
})
