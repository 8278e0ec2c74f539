import type { SourceSettings } from '../ingest/format.ts'

/** What a source without a configuration fixes for its lines. */
export function plainSource(tenant: string, formatName: string): SourceSettings {
  return {
    tenant,
    tenantField: null,
    gateway: { kind: formatName, id: formatName },
    principal: { order: ['consumer', 'sub', 'app', 'key', 'account'], issuers: new Map() },
    records: { headers: ['x-records-returned'], contentRange: true, field: null, bytesPerRecord: null },
  }
}
