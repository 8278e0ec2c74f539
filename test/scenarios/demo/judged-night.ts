import type { AccessEvent } from '../../../core/event.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { Partition } from '../../../engine/partition.ts'
import { DEFAULT_SETTINGS, type EngineSettings } from '../../../engine/settings.ts'
import type { SourceSettings } from '../../../ingest/format.ts'
import { FORMATS } from '../../../ingest/formats/catalog.ts'

export const ENFORCING: EngineSettings = {
  version: 1,
  values: DEFAULT_SETTINGS,
  modes: [{ mode: 'enforce' }],
  allow: [],
}

export const DEMO_SOURCE: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'kong', id: 'demo' },
  principal: { order: ['consumer', 'sub', 'app', 'key', 'account'], issuers: new Map() },
  records: { headers: ['x-records-returned'], contentRange: true, field: null, bytesPerRecord: null },
}

/** A fresh partition with the settings of the demo. */
export function demoPartition(): Partition {
  return new Partition({ detectors: DETECTORS, settings: ENFORCING, maxPrincipals: 1_000, seed: 7 })
}

/** The one call of a Kong line. */
export function eventOf(line: string, offset: number): AccessEvent {
  const events: AccessEvent[] = []
  const record = { bytes: Buffer.from(line), receivedAt: Number.NaN, topic: 'demo', partition: 0, offset }
  FORMATS.get('kong')!.parse(record, DEMO_SOURCE, {
    event: (event) => events.push(event),
    rejected: ({ reason, detail }) => {
      throw new Error(`${reason}: ${detail}`)
    },
  })
  return events[0]!
}
