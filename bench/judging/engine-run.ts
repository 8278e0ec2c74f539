import { engineSettings, sourceSettings } from '../../cli/config/engine-input.ts'
import { loadConfig } from '../../cli/config/load.ts'
import type { Config } from '../../cli/config/schema.ts'
import { openLog } from '../../cli/log-file.ts'
import type { LineOutput } from '../../cli/output-file.ts'
import { Replay } from '../../cli/replay.ts'
import type { AccessEvent } from '../../core/event.ts'
import { detectorsNamed } from '../../detectors/catalog.ts'
import type { Partition } from '../../engine/partition.ts'
import type { Format } from '../../ingest/format.ts'
import { FORMATS } from '../../ingest/formats/catalog.ts'
import { LineSplitter } from '../../ingest/line-splitter.ts'
import type { HeaderLabel } from '../traffic/labels.ts'
import type { Caller } from './truth.ts'

/** What one replay says about the call that it was just given. */
export interface RunListener {
  alert(text: string): void
  decision(text: string): void
  /** Absent where nobody reads scores: building their lines costs as much as judging. */
  readonly score?: (text: string) => void
}

const NOWHERE: LineOutput = { wanted: false, line: () => undefined }

/**
 * The configuration that is judged: all defaults, the budget, the tenants of the log, the callers that
 * the labels put on the allow list. Decisions are enforced, as otherwise a hold would never be renewed.
 */
export function judgedConfig(
  header: Pick<HeaderLabel, 'tenantField'>,
  allowed: readonly Caller[],
  budget: number,
): Config {
  const text = JSON.stringify({
    sources: [
      {
        kind: 'file',
        name: 'kong',
        format: 'kong',
        gateway: { kind: 'kong', id: 'kong' },
        tenantField: header.tenantField,
        stdin: true,
      },
    ],
    defaultMode: 'enforce',
    detection: { falseAlarmBudget: budget },
    allow: allowed.map(({ tenant, id }) => ({ tenant, entity: id, reason: 'agreed test' })),
  })
  const loaded = loadConfig(text, { env: () => undefined, file: () => '' })
  if (!loaded.ok) throw new Error(`judged configuration: ${loaded.problems.map((p) => p.message).join('; ')}`)
  return loaded.config
}

/**
 * A replay that is handed calls instead of lines: its lines are read once, for all replays and controls
 * alike, by the format of the log.
 */
export class EngineRun {
  private readonly replay: Replay
  private event: AccessEvent | null = null

  constructor(config: Config, listener: RunListener) {
    const { score } = listener
    const identityKey = new TextEncoder().encode('judged')
    const format: Format = {
      name: 'read already',
      parse: (_, __, emit) => emit.event(this.event!),
    }
    this.replay = new Replay({
      format,
      source: sourceSettings(config, config.sources[0]!),
      detectors: detectorsNamed(config.detectors),
      settings: { version: 1, ...engineSettings(config) },
      maxPrincipals: config.memory.maxPrincipals,
      identityKey,
      emailKey: config.privacy.emails === 'hash' ? identityKey : null,
      coverageSlotMs: config.coverage.slotSeconds * 1_000,
      outputs: {
        alerts: { wanted: true, line: (text) => listener.alert(text) },
        decisions: { wanted: true, line: (text) => listener.decision(text) },
        scores: score === undefined ? NOWHERE : { wanted: true, line: score },
        rejected: NOWHERE,
      },
    })
  }

  /** What was learnt so far. */
  get partition(): Partition {
    return this.replay.partition
  }

  /** Judges one call; whatever the engine says about it is told before this returns. */
  step(event: AccessEvent, line: Uint8Array): void {
    this.event = event
    this.replay.line(line)
  }
}

/** Reads a Kong log, plain or gzip, call by call, in the order of its lines; memory does not grow with it. */
export async function readCalls(
  path: string,
  config: Config,
  onCall: (event: AccessEvent, line: Uint8Array) => void,
): Promise<{ readonly lines: number; readonly rejected: number }> {
  const format = FORMATS.get('kong')!
  const source = sourceSettings(config, config.sources[0]!)
  const counts = { lines: 0, rejected: 0 }
  let current: Uint8Array = new Uint8Array(0)
  const emit = {
    event: (event: AccessEvent) => onCall(event, current),
    rejected: () => void counts.rejected++,
  }
  const record = { bytes: current, receivedAt: Number.NaN, topic: 'line', partition: 0, offset: 0 }
  const onLine = (bytes: Uint8Array) => {
    current = bytes
    record.bytes = bytes
    record.offset = ++counts.lines
    format.parse(record, source, emit)
  }
  const splitter = new LineSplitter()
  for await (const chunk of await openLog(path, process.stdin)) splitter.push(chunk, onLine)
  splitter.end(onLine)
  return counts
}
