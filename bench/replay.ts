import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { median } from 'simple-statistics'
import { DETECTORS } from '../detectors/catalog.ts'
import { MEASURED_CORE } from './cores.ts'
import { corpusFile, meanLineBytes, STANDARD } from './corpus.ts'
import { numberOption } from './options.ts'

interface Summary {
  readonly events: number
  readonly eventsPerSecond: number
  readonly peakRssBytes?: number
}

/**
 * `replay` against `JSON.parse` alone on the standard corpus, one process pinned to one core, runs
 * interleaved; alerts and decisions written, scores off. `--detectors a,b` judges with these alone.
 */
export async function run(args: readonly string[]): Promise<void> {
  const lines = numberOption(args, 'lines', STANDARD.lines)
  const runs = numberOption(args, 'runs', 5)
  const path = corpusFile({ ...STANDARD, lines })
  const detectors = detectorsOption(args)
  const folder = mkdtempSync(join(tmpdir(), 'curfew-bench-'))
  const config = join(folder, 'curfew.json')
  writeFileSync(config, JSON.stringify(configuration(path, detectors)))
  const own = script('../cli/main.js')
  const reference = script('./json-parse-lines.js')
  const outputs = ['--alerts', join(folder, 'alerts.ndjson'), '--decisions', join(folder, 'decisions.ndjson')]
  const ours: Summary[] = []
  const theirs: Summary[] = []
  try {
    for (let i = 0; i < runs; i++) {
      theirs.push(pinned([reference, path]))
      ours.push(pinned([own, 'replay', '--config', config, ...outputs, path]))
      const ratio = ours[i]!.eventsPerSecond / theirs[i]!.eventsPerSecond
      process.stderr.write(
        `run ${i + 1}/${runs}: replay ${ours[i]!.eventsPerSecond}/s, JSON.parse ${theirs[i]!.eventsPerSecond}/s, ratio ${ratio.toFixed(3)}\n`,
      )
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  const ratios = ours.map((o, i) => o.eventsPerSecond / theirs[i]!.eventsPerSecond)
  const result = {
    benchmark: 'replay',
    detectors,
    lines,
    meanLineBytes: Number(meanLineBytes(path, lines).toFixed(1)),
    runs,
    replayEventsPerSecond: median(ours.map((o) => o.eventsPerSecond)),
    jsonParseLinesPerSecond: median(theirs.map((t) => t.eventsPerSecond)),
    ratio: Number(median(ratios).toFixed(3)),
    ratioMin: Number(Math.min(...ratios).toFixed(3)),
    ratioMax: Number(Math.max(...ratios).toFixed(3)),
    peakRssBytes: Math.max(...ours.map((o) => o.peakRssBytes ?? 0)),
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

function detectorsOption(args: readonly string[]): readonly string[] {
  const at = args.findIndex((a) => a === '--detectors' || a.startsWith('--detectors='))
  if (at < 0) return DETECTORS.map(({ name }) => name)
  const text = args[at]!.includes('=') ? args[at]!.split('=')[1] : args[at + 1]
  return (text ?? '').split(',')
}

/** The defaults, but for the detectors. A strict subset of YAML is JSON. */
function configuration(path: string, detectors: readonly string[]): object {
  const source = {
    name: 'corpus',
    kind: 'file',
    paths: [path],
    format: 'kong',
    gateway: { kind: 'kong', id: 'kong' },
  }
  return { sources: [source], detectors }
}

function script(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url))
}

function pinned(command: readonly string[]): Summary {
  const out = execFileSync(
    'taskset',
    ['-c', String(MEASURED_CORE), process.execPath, '--max-semi-space-size=64', ...command],
    {
      encoding: 'utf8',
    },
  )
  return JSON.parse(out.trim().split('\n').at(-1)!) as Summary
}
