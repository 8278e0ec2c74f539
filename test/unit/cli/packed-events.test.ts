import { describe, expect, it } from 'vitest'
import type { Ingest } from '../../../cli/build-ingest.ts'
import type { AccessEvent } from '../../../core/event.ts'
import type { EventLog, LogRecord } from '../../../ingest/source.ts'
import { ingestOf } from './ingest-rig.ts'

const TIME = Date.parse('2026-09-07T10:00:00Z')

type Appended = Parameters<EventLog['append']>[0][number]

function lineOf(userAgent: string) {
  const principal = '{"kind":"sub","id":"etl","label":"etl","verified":true}'
  return `{"id":"a-1","time":${TIME},"principal":${principal},"status":200,"latencyMs":12,"method":"GET","path":"/v1/orders","userAgent":"${userAgent}"}`
}

async function appendedBy(worker: Ingest, lines: readonly string[]): Promise<readonly Appended[]> {
  const appended: Appended[] = []
  const append = async (records: readonly Appended[]) => void appended.push(...records)
  const log = { partitions: 1, append } as unknown as EventLog
  const records = lines.map((line, offset) => ({
    bytes: Buffer.from(line),
    receivedAt: TIME,
    topic: 'raw',
    partition: 0,
    offset,
  }))
  await worker.normalise(log, 'edge', records)
  return appended
}

function eventsOf(worker: Ingest, record: Omit<LogRecord, 'offset'>): readonly AccessEvent[] {
  const events: AccessEvent[] = []
  const to = {
    event: (event: AccessEvent) => void events.push(event),
    unreadable: () => expect.unreachable(),
  }
  worker.decodeEvent({ offset: 0, ...record }, to)
  return events
}

describe('events that a record of the internal topic is appended with', () => {
  it('are those that its bytes say', async () => {
    const worker = ingestOf('canonical', TIME)
    const [record, ...more] = await appendedBy(worker, [lineOf('agent/1'), lineOf('agent/2')])
    expect(more).toEqual([])
    const { events, ...plain } = record!
    expect(events).toHaveLength(2)
    expect(eventsOf(worker, plain)).toStrictEqual(events)
    expect(eventsOf(worker, record!)).toStrictEqual(events)
  })

  it('are judged as they are, without reading the bytes', async () => {
    const worker = ingestOf('canonical', TIME)
    const [record] = await appendedBy(worker, [lineOf('agent/1')])
    expect(eventsOf(worker, { ...record!, bytes: Buffer.from('not read') })).toStrictEqual(record!.events)
  })

  it('are left out where the bytes might say something else', async () => {
    const worker = ingestOf('canonical', TIME)
    const [record] = await appendedBy(worker, [lineOf('agent/1'), lineOf('C:\\\\udp\\\\agent')])
    expect(record!.events).toBeUndefined()
    expect(eventsOf(worker, record!).map((event) => event.userAgent)).toStrictEqual([
      'agent/1',
      'C:\\udp\\agent',
    ])
  })
})
