import pino from 'pino'
import { CurfewError } from '../../core/errors.ts'
import { isoTime } from '../../core/time.ts'
import { Backfill, type BackfillCounts } from '../backfill.ts'
import { type Io, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import type { Config, SourceConfig } from '../config/schema.ts'
import { openLog } from '../log-file.ts'

/** `curfew backfill`: puts recorded logs into the log of the configuration, to be learnt from. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  if (path === undefined) throw new CurfewError('USAGE', 'backfill needs --config FILE')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const source = chosenSource(config, textFlag(args, 'source'))
  const logger = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }))
  const backfill = await Backfill.open(config, source, io.clock, logger)
  try {
    for (const file of args.positionals) {
      await backfill.take(await openLog(file, io.stdin))
      if (io.isTerminal) io.stderr.write(`${file}: ${backfill.counts.events} calls so far\n`)
    }
  } finally {
    await backfill.close()
  }
  io.stdout.write(`${summary(backfill.counts)}\n`)
  return 0
}

function chosenSource(config: Config, name: string | undefined): SourceConfig {
  const known = config.sources.map((source) => source.name).join(', ')
  const source = name === undefined ? config.sources[0] : config.sources.find((s) => s.name === name)
  if (name === undefined && config.sources.length > 1) {
    throw new CurfewError(
      'USAGE',
      `the configuration has several sources, choose one with --source: ${known}`,
    )
  }
  if (source !== undefined) return source
  if (known === '')
    throw new CurfewError('USAGE', 'the configuration has no source that files could come from')
  throw new CurfewError('USAGE', `--source ${name} is not in the configuration; there are: ${known}`)
}

function summary(counts: BackfillCounts): string {
  const { lines, events, rejected, tooRecent, firstTime, lastTime } = counts
  const time = (ms: number) => (Number.isNaN(ms) ? null : isoTime(ms))
  return JSON.stringify({ lines, events, rejected, tooRecent, from: time(firstTime), to: time(lastTime) })
}
