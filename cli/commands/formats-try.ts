import { CurfewError } from '../../core/errors.ts'
import { detectFormat, whyUnsure } from '../../ingest/detect-format.ts'
import { FORMATS } from '../../ingest/formats/catalog.ts'
import { type Io, numberFlag, type ParsedArgs, textFlag } from '../command.ts'
import { sourceSettings } from '../config/engine-input.ts'
import { requireConfig } from '../config/file.ts'
import { cut } from '../config/problem.ts'
import { fieldUses, shownFields, type TriedLine, tryLines } from '../format-trial.ts'
import { openLog } from '../log-file.ts'
import { readHead } from '../log-head.ts'
import { plainSource } from '../plain-source.ts'
import { tableText } from '../table.ts'

const LINES = 200
/** Calls that are shown field by field. */
const SHOWN = 2
const SHOWN_REJECTIONS = 5

/** `curfew formats try`: how the first lines of a log are understood, and what that costs. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const [path = '-'] = args.positionals
  const given = textFlag(args, 'format') ?? 'auto'
  const head = await readHead(await openLog(path, io.stdin), numberFlag(args, 'lines') ?? LINES)
  await head.close()
  const { lines } = head
  const detection = detectFormat(lines)
  const name = given === 'auto' ? detection.format : given
  if (name === null) {
    io.stdout.write(`${cut(path)}: ${whyUnsure(detection)}; say which with --format\n`)
    return 1
  }
  const format = FORMATS.get(name)
  if (format === undefined) throw new CurfewError('USAGE', `--format ${cut(name)} is unknown`)
  const configPath = textFlag(args, 'config')
  const config = configPath === undefined ? null : requireConfig(configPath, io.env, () => undefined)
  const source = config?.sources.find((s) => s.format === name)
  const settings =
    config === null || source === undefined ? plainSource('default', name) : sourceSettings(config, source)
  const tried = tryLines(format, settings, lines)
  const fit = detection.fitting.find(([fitting]) => fitting === name)?.[1] ?? 0
  io.stdout.write(
    `${cut(path)}: format ${name}, ${given === 'auto' ? 'told by' : 'as given; fits'} ${fit} of ${lines.length} lines\n`,
  )
  return report(tried, io)
}

function report(tried: readonly TriedLine[], io: Io): number {
  const events = tried.flatMap((line) => line.events)
  const rejections = tried.flatMap(({ line, rejections }) => rejections.map((r) => ({ line, ...r })))
  io.stdout.write(`${events.length} calls, ${rejections.length} dead letters\n`)
  const withCalls = tried.filter((line) => line.events.length > 0)
  for (const { line, events: calls } of withCalls.slice(0, SHOWN)) {
    const call = calls[0]
    if (call !== undefined)
      io.stdout.write(`\n${tableText([`line ${line}`, 'understood as'], shownFields(call))}`)
  }
  for (const { line, reason, detail } of rejections.slice(0, SHOWN_REJECTIONS))
    io.stdout.write(`\nline ${line}: dead letter, ${reason} (${cut(detail)})\n`)
  if (events.length === 0) return 1
  io.stdout.write('\nof the calls            state it  what the others cost\n')
  for (const { field, stated, cost } of fieldUses(events)) {
    const share = `${stated} of ${events.length}`
    io.stdout.write(`${field.padEnd(22)}  ${share.padEnd(8)}  ${cost}`.trimEnd().concat('\n'))
  }
  return 0
}
