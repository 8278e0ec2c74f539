import { renameSync, writeFileSync } from 'node:fs'
import { serialize } from 'node:v8'
import { CurfewError } from '../../core/errors.ts'
import { type Labels, LabelsError, readLabels } from '../traffic/labels.ts'
import { judgeLog } from './judge-log.ts'

/**
 * Judges one log in a process of its own, so that memory is given back and a crash costs one seed:
 * `seed-task LOG LABELS KEY OUT`. Progress on standard error; exit code 2 for input that cannot be judged.
 */
const [log, labels, key, out] = process.argv.slice(2) as [string, string, string, string]
const started = process.hrtime.bigint()

try {
  const record = await judgeLog(log, labelsOf(labels), key, (events) => tell(`${events} calls`))
  writeFileSync(`${out}.part`, serialize(record))
  renameSync(`${out}.part`, out)
  tell(`${record.logEvents} calls, ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB\n`)
} catch (error) {
  if (!(error instanceof CurfewError) || error.code !== 'USAGE') throw error
  process.stderr.write(`\nbench: ${error.message}\n`)
  process.exitCode = 2
}

function labelsOf(path: string): Labels {
  try {
    return readLabels(path)
  } catch (error) {
    if (!(error instanceof LabelsError)) throw error
    throw new CurfewError('USAGE', `${path}: ${error.message}`, { cause: error })
  }
}

function tell(text: string): void {
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  process.stderr.write(`\r  ${seconds.toFixed(0)} s: ${text} `)
}
