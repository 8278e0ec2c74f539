import { readFileSync } from 'node:fs'
import { CurfewError } from '../../core/errors.ts'
import { type PlotFrame, plotSvg } from './plot.ts'
import { type BenchmarkResult, metricLines } from './result.ts'
import { resultsFolder, writePlot, writeResult } from './result-file.ts'

/**
 * Ends a benchmark: writes its result and one picture per curve set that has a frame, prints the metrics,
 * and as the last line of standard output a JSON object with the path and checksum of the result. `--out`
 * among the arguments names the folder; without it the repository's own results are renewed.
 */
export function publish(
  result: BenchmarkResult,
  args: readonly string[],
  frames: { readonly [plot: string]: PlotFrame },
): void {
  const folder = folderOf(args)
  const file = writeResult(result, folder)
  for (const [plot, frame] of Object.entries(frames)) {
    writePlot(result, plot, plotSvg(frame, result.curves[plot] ?? []), folder)
  }
  for (const line of metricLines(result)) process.stdout.write(`${line}\n`)
  const { checksum } = JSON.parse(readFileSync(file, 'utf8')) as { readonly checksum: string }
  const { benchmark, version } = result
  process.stdout.write(`${JSON.stringify({ benchmark, version, file, checksum })}\n`)
}

function folderOf(args: readonly string[]): string {
  const at = args.indexOf('--out')
  if (at < 0) return resultsFolder()
  const folder = args[at + 1]
  if (folder === undefined) throw new CurfewError('USAGE', '--out needs a folder')
  return folder
}
