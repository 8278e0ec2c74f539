import { describe, expect, it } from 'vitest'
import {
  type Caller,
  DETECTION,
  download,
  HISTORY_CALLS,
  history,
  loadCall,
  principalOf,
  type TimedRecord,
} from '../../../bench/latency-records.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { Partition } from '../../../engine/partition.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import type { SourceSettings } from '../../../ingest/format.ts'
import { FORMATS } from '../../../ingest/formats/catalog.ts'

const NOW = Date.UTC(2026, 10, 23, 12)
const SOURCE: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'haproxy', id: 'edge' },
  principal: { order: ['sub'], issuers: new Map() },
  records: { headers: [], contentRange: false, field: null, bytesPerRecord: null },
}
const callers: readonly Caller[] = Array.from({ length: 30 }, (_, i) => ({
  iss: 'https://idp.test/realm',
  sub: `caller-${i}`,
  jti: `token-${i}`,
}))

let offset = 0

function parsed({ value, time }: TimedRecord): AccessEvent {
  const events: AccessEvent[] = []
  const record = { bytes: value, receivedAt: time, topic: 'gateway', partition: 0, offset: offset++ }
  FORMATS.get('canonical')!.parse(record, SOURCE, {
    event: (event) => void events.push(event),
    rejected: ({ reason }) => expect.fail(`rejected: ${reason}`),
  })
  const [event] = events
  if (event === undefined || events.length > 1) throw new Error(`${events.length} events`)
  return event
}

function learnt(): Partition {
  const settings = {
    version: 1,
    values: { ...DEFAULT_SETTINGS, ...DETECTION },
    modes: [{ mode: 'enforce' as const }],
    allow: [],
  }
  const partition = new Partition({ detectors: DETECTORS, settings, maxPrincipals: 200_000, seed: 1 })
  for (const record of history(callers, NOW)) partition.step(parsed(record))
  return partition
}

describe('records of the latency benchmark', () => {
  it('gives every caller the same number of calls over six days, in time order', () => {
    const records = [...history(callers, NOW)]
    expect(records).toHaveLength(callers.length * HISTORY_CALLS)
    const times = records.map((r) => r.time)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(5 * 86_400_000)
    expect(NOW - times[0]!).toBeLessThan(7 * 86_400_000)
  })

  it('teaches calls that open no incident', () => {
    expect(learnt().book.outputs).toEqual([])
  })

  it('blocks a caller at its one download, to be enforced at once', () => {
    const partition = learnt()
    for (const [i, caller] of callers.entries()) {
      partition.step(parsed(download(caller, NOW + i * 200)))
      const decisions = partition.book.outputs.splice(0).filter((output) => output.kind === 'decision')
      expect(decisions.map(({ decision }) => [decision.action, decision.mode, decision.principal])).toEqual([
        ['block', 'enforce', principalOf(caller)],
      ])
    }
  })

  it('takes no decision about the background load, however long it lasts', () => {
    const partition = learnt()
    for (let n = 0; n < 4_000; n++) partition.step(parsed(loadCall(n, NOW + Math.floor(n / 4))))
    const decisions = partition.book.outputs.filter((output) => output.kind === 'decision')
    expect(decisions).toEqual([])
  })
})
