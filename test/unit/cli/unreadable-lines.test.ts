import { describe, expect, it } from 'vitest'
import { partitionOf } from '../../../core/hash.ts'
import { sourceKey, type UnreadableLines } from '../../../core/unreadable.ts'
import type { RawRecord } from '../../../ingest/format.ts'
import { decodeInternal, decodeUnreadable, encodeUnreadable } from '../../../ingest/formats/internal.ts'
import { packedLines } from '../../../ingest/packed.ts'
import type { EventLog } from '../../../ingest/source.ts'
import { ingestOf } from './ingest-rig.ts'

const TIME = Date.parse('2026-09-07T10:00:00Z')
const PARTITIONS = 16

type Appended = Parameters<EventLog['append']>[0][number]

function logOf(appended: Appended[]): EventLog {
  const append = async (records: readonly Appended[]) => void appended.push(...records)
  return { partitions: PARTITIONS, append } as unknown as EventLog
}

function broken(offset: number, address: string | null): RawRecord {
  const start = address === null ? '{' : `{"client_ip":"${address}",`
  return {
    bytes: Buffer.from(`${start}"x":"a"b"}`),
    receivedAt: TIME + offset,
    topic: 'raw',
    partition: 3,
    offset,
  }
}

describe('unreadable lines of a topic', () => {
  it('reach the partition of their source, counted per address, in the order of their positions', async () => {
    const appended: Appended[] = []
    const records = [
      broken(1, '203.0.113.9'),
      broken(2, null),
      broken(3, '203.0.113.9'),
      broken(4, '2001:db8::1'),
    ]
    await ingestOf('kong', TIME).normalise(logOf(appended), 'edge', records)
    const home = partitionOf(sourceKey('default', 'edge'), PARTITIONS)
    expect(appended.map((r) => r.partition)).toEqual([home])
    const told = [...packedLines(appended[0]!.bytes)].map((line) => decodeUnreadable(line, 0))
    expect(told.map((t) => [t?.address, t?.lines, t?.position.offset])).toEqual([
      [null, 1, 2],
      ['203.0.113.9', 2, 3],
      ['2001:db8::/64', 1, 4],
    ])
  })

  it('come out of the internal topic and of the journal alike', async () => {
    const appended: Appended[] = []
    const worker = ingestOf('kong', TIME)
    await worker.normalise(logOf(appended), 'edge', [broken(5, '203.0.113.9')])
    const [record] = appended
    const seen: UnreadableLines[] = []
    const to = {
      event: () => expect.unreachable(),
      unreadable: (lines: UnreadableLines) => void seen.push(lines),
    }
    worker.decodeEvent({ offset: 0, receivedAt: TIME, source: 'edge', bytes: record!.bytes }, to)
    const origin = { topic: 'raw', partition: 3, offset: 5 }
    worker.decodeJournal({ ...broken(5, '203.0.113.9'), source: 'edge', origin }, to)
    expect(seen[0]).toEqual(seen[1])
    expect(seen[0]).toMatchObject({
      source: 'edge',
      address: '203.0.113.9',
      position: { topic: 'raw!', offset: 5 },
    })
  })
})

describe('the record of unreadable lines', () => {
  const lines: UnreadableLines = {
    tenant: 'default',
    source: 'edge',
    gateway: { kind: 'kong', id: 'edge' },
    address: null,
    lines: 3,
    receivedAt: TIME,
    position: { topic: 'raw!', partition: 3, offset: 9, index: 0 },
  }

  it('gives back what was written, with the time of receipt where there was none', () => {
    expect(decodeUnreadable(encodeUnreadable(lines), 1)).toEqual(lines)
    expect(decodeUnreadable(encodeUnreadable({ ...lines, receivedAt: Number.NaN }), 7)?.receivedAt).toBe(7)
  })

  it('is no event, and nothing else is taken for it', () => {
    expect(decodeInternal(encodeUnreadable(lines), 1)).toBeNull()
    for (const text of ['', '{', '{"unreadable":', '{"unreadable":null}', '{"id":"x"}', '[]'])
      expect(decodeUnreadable(Buffer.from(text), 1)).toBeNull()
  })
})
