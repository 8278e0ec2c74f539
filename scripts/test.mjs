// Runs every test, counts them by kind, and ends with one plain line: `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { prepareServices } from './install-services.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
export const KINDS = ['unit', 'property', 'scenarios', 'contracts', 'e2e']

/**
 * Counts the results of vitest's JSON report by kind, which is the folder under `test/`. A file that
 * could not even be loaded counts as one failed test.
 */
export function countByKind(report, folder = root) {
  const counts = new Map(KINDS.map((kind) => [kind, { passed: 0, failed: 0, skipped: 0 }]))
  for (const file of report.testResults) {
    const kind = relative(join(folder, 'test'), file.name).split(sep)[0]
    const count = counts.get(kind)
    if (count === undefined) throw new Error(`${file.name} is not in a folder of a known kind`)
    for (const { status } of file.assertionResults) {
      if (status === 'passed') count.passed++
      else if (status === 'failed') count.failed++
      else count.skipped++
    }
    const hasFailedTest = file.assertionResults.some(({ status }) => status === 'failed')
    if (file.status === 'failed' && !hasFailedTest) count.failed++
  }
  return counts
}

/** The sum over all kinds. */
export function total(counts) {
  const sum = { passed: 0, failed: 0, skipped: 0 }
  for (const count of counts.values()) {
    sum.passed += count.passed
    sum.failed += count.failed
    sum.skipped += count.skipped
  }
  return sum
}

/** Exit code: that of vitest; failed tests and, with CI=true, skipped ones are failures whatever it says. */
export function exitCode(status, sum, isCi) {
  if (status !== 0) return status ?? 1
  if (sum.failed > 0 || sum.passed === 0) return 1
  return isCi && sum.skipped > 0 ? 1 : 0
}

function runVitest(outputFile, args) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${outputFile}`]
  return spawnSync(process.execPath, [vitest, 'run', ...reporters, ...args], { cwd: root, stdio: 'inherit' })
    .status
}

function printCounts(counts, seconds) {
  process.stdout.write('\n')
  for (const [kind, { passed, failed, skipped }] of counts) {
    process.stdout.write(`${kind.padEnd(10)} ${passed + failed + skipped} tests\n`)
  }
  process.stdout.write(`duration   ${seconds.toFixed(1)} s\n`)
}

async function main(args) {
  const started = Date.now()
  await prepareServices()
  const folder = mkdtempSync(join(tmpdir(), 'curfew-test-'))
  try {
    const outputFile = join(folder, 'report.json')
    const status = runVitest(outputFile, args)
    const counts = countByKind(readReport(outputFile))
    const sum = total(counts)
    const isCi = process.env.CI === 'true'
    const code = exitCode(status, sum, isCi)
    printCounts(counts, (Date.now() - started) / 1000)
    if (isCi && sum.skipped > 0) process.stdout.write('With CI=true a skipped test is a failure.\n')
    else if (code !== 0 && sum.failed === 0)
      process.stdout.write('The run failed outside of a test, see above.\n')
    process.stdout.write(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped\n`)
    return code
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { testResults: [] }
  }
}

// The path may lead through a link; a module that is imported must not run.
const isEntry = realpathSync(process.argv[1] ?? '.') === fileURLToPath(import.meta.url)
if (isEntry) process.exitCode = await main(process.argv.slice(2))
