import { Ingest } from '../../../cli/build-ingest.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import { wallTime } from '../../../core/time.ts'

/** An ingest without dead letters whose one source `edge` reads a topic in a format. `now`: epoch ms. */
export function ingestOf(format: 'kong' | 'canonical', now: number): Ingest {
  const source = `{ name: edge, kind: kafka, format: ${format}, brokers: ['127.0.0.1:9092'], topics: [raw], groupId: g, gateway: { kind: kong, id: edge } }`
  const loaded = loadConfig(`sources:\n  - ${source}\n`, { env: () => undefined, file: () => '' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded))
  const observer = { events: () => undefined, rejected: () => undefined }
  return new Ingest(loaded.config, null, observer, { now: () => wallTime(now) })
}
