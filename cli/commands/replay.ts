import { createHash } from 'node:crypto'
import { openEmbeddedStore } from '../../baseline/stores/embedded-store.ts'
import { CurfewError } from '../../core/errors.ts'
import { DETECTORS, detectorsNamed } from '../../detectors/catalog.ts'
import { SLOT_MS } from '../../engine/coverage/slots.ts'
import type { EngineSettings } from '../../engine/settings.ts'
import { DEFAULT_SETTINGS } from '../../engine/settings.ts'
import { detectFormat, whyUnsure } from '../../ingest/detect-format.ts'
import type { SourceSettings } from '../../ingest/format.ts'
import { FORMATS } from '../../ingest/formats/catalog.ts'
import { LineSplitter } from '../../ingest/line-splitter.ts'
import { type Io, type ParsedArgs, textFlag } from '../command.ts'
import { configHash } from '../config/config-hash.ts'
import { engineSettings, sourceSettings } from '../config/engine-input.ts'
import { requireConfig } from '../config/file.ts'
import type { Config } from '../config/schema.ts'
import { openLog } from '../log-file.ts'
import { readHead } from '../log-head.ts'
import { OutputFile } from '../output-file.ts'
import { plainSource } from '../plain-source.ts'
import { Replay } from '../replay.ts'

const PROGRESS_MS = 1_000
/** Lines by which `--format auto` tells the format. */
const DETECTION_LINES = 200
const DEFAULT_MAX_PRINCIPALS = 1_000_000
/** Hashes principals in saved states when the configuration names no key; such a folder is as private as the log. */
const UNKEYED = 'curfew replay'

/** `curfew replay`: judges recorded logs in event time, with no gateway anywhere near. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const configPath = textFlag(args, 'config')
  const config =
    configPath === undefined
      ? null
      : requireConfig(configPath, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const wanted = textFlag(args, 'format') ?? config?.sources[0]?.format ?? 'kong'
  const [firstPath = '-'] = args.positionals
  const first = wanted === 'auto' ? await readHead(await openLog(firstPath, io.stdin), DETECTION_LINES) : null
  const formatName = first === null ? wanted : detected(first.lines, firstPath)
  const format = FORMATS.get(formatName)
  if (format === undefined) {
    throw new CurfewError(
      'USAGE',
      `--format ${formatName} is unknown; known: ${[...FORMATS.keys()].join(', ')}`,
    )
  }
  const state = textFlag(args, 'state')
  const settings = settingsOf(config)
  const outputs = {
    alerts: new OutputFile(textFlag(args, 'alerts')),
    decisions: new OutputFile(textFlag(args, 'decisions')),
    scores: new OutputFile(textFlag(args, 'scores')),
    rejected: new OutputFile(textFlag(args, 'rejected')),
    coverage: new OutputFile(textFlag(args, 'coverage')),
  }
  const identityKey = new TextEncoder().encode(config?.identityKey?.reveal() ?? UNKEYED)
  const replay = new Replay({
    format,
    source: sourceOf(config, formatName),
    detectors: config === null ? DETECTORS : detectorsNamed(config.detectors),
    settings,
    maxPrincipals: config?.memory.maxPrincipals ?? DEFAULT_MAX_PRINCIPALS,
    identityKey,
    emailKey: config?.privacy.emails === 'hash' ? identityKey : null,
    coverageSlotMs: config === null ? SLOT_MS : config.coverage.slotSeconds * 1_000,
    outputs,
  })
  const store = state === undefined ? null : await openEmbeddedStore({ folder: state })
  try {
    if (store !== null) await replay.resume(store, hashOfReplay(config, formatName, settings))
    const started = process.hrtime.bigint()
    await readAll(replay, args.positionals, first?.whole ?? null, io)
    const seconds = Number(process.hrtime.bigint() - started) / 1e9
    await replay.save()
    for (const output of Object.values(outputs)) output.close()
    printSummary(replay, seconds, io)
    return 0
  } finally {
    await store?.close()
  }
}

/** The format of the first lines. Throws `USAGE` when it cannot be told. */
function detected(lines: readonly Uint8Array[], path: string): string {
  const detection = detectFormat(lines)
  if (detection.format !== null) return detection.format
  throw new CurfewError('USAGE', `${path}: ${whyUnsure(detection)}; say which with --format`)
}

async function readAll(
  replay: Replay,
  paths: readonly string[],
  opened: AsyncIterable<Uint8Array> | null,
  io: Io,
): Promise<void> {
  let told = io.clock.now()
  for (const [i, path] of paths.entries()) {
    const splitter = new LineSplitter()
    const onLine = (bytes: Uint8Array) => replay.line(bytes)
    for await (const chunk of (i === 0 ? opened : null) ?? (await openLog(path, io.stdin))) {
      splitter.push(chunk, onLine)
      if (!io.isTerminal || io.clock.now() - told < PROGRESS_MS) continue
      told = io.clock.now()
      io.stderr.write(`\r${path}: ${replay.counts.events} events, ${replay.counts.incidents} incidents `)
    }
    splitter.end(onLine)
  }
  if (io.isTerminal) io.stderr.write('\n')
}

function printSummary(replay: Replay, seconds: number, io: Io): void {
  const { events, rejected, duplicates, incidents, decisions } = replay.counts
  const summary = {
    events,
    rejected,
    duplicates,
    principals: replay.partition.residents.size,
    incidents,
    incidentsOpen: replay.partition.book.openCount,
    decisions,
    eventsPerSecond: Math.round(events / Math.max(seconds, 1e-9)),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  }
  io.stdout.write(`${JSON.stringify(summary)}\n`)
}

function settingsOf(config: Config | null): EngineSettings {
  if (config !== null) return { version: 1, ...engineSettings(config) }
  return { version: 1, values: DEFAULT_SETTINGS, modes: [], allow: [] }
}

function sourceOf(config: Config | null, formatName: string): SourceSettings {
  const source = config?.sources.find((s) => s.format === formatName)
  if (config !== null && source !== undefined) return sourceSettings(config, source)
  return plainSource(config?.tenant ?? 'default', formatName)
}

/** What a saved state depends on: the whole configuration, or the built-in settings and the format. */
function hashOfReplay(config: Config | null, formatName: string, settings: EngineSettings): string {
  const content =
    config === null ? JSON.stringify([formatName, settings]) : `${configHash(config)}/${formatName}`
  return createHash('sha256').update(content).digest('hex')
}
