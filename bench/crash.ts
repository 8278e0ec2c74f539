import { fileURLToPath } from 'node:url'
import { type CrashSetting, crashRun, embeddedSetting, redisSetting } from './crash-runs.ts'
import { countOf, differences } from './crash-state.ts'
import { numberOption } from './options.ts'
import { seededRandom } from './seeded-random.ts'

const SETTINGS = { redis: redisSetting, embedded: embeddedSetting }
const PRINCIPALS = 400
const SEED = 11
const SHOWN = 5

/**
 * Kills the detecting worker at random points of a log, again and again until the log is read, and compares
 * what is stored with an undisturbed run: `--store redis|embedded`, `--runs`, `--events`, `--kills` per run.
 */
export async function run(args: readonly string[]): Promise<void> {
  const store = storeOption(args)
  const events = numberOption(args, 'events', 200_000)
  const runs = numberOption(args, 'runs', 20)
  const kills = numberOption(args, 'kills', 5)
  const setting = await SETTINGS[store]({ events, principals: PRINCIPALS, seed: SEED })
  try {
    const result = await compare(setting, runs, kills)
    process.stdout.write(`${JSON.stringify({ benchmark: 'crash', store, events, ...result })}\n`)
    if (result.different > 0) process.exitCode = 1
  } finally {
    await setting.close()
  }
}

async function compare(setting: CrashSetting, runs: number, killsPerRun: number) {
  const program = fileURLToPath(new URL('./crash-worker.js', import.meta.url))
  const random = seededRandom(SEED + 1)
  const common = { setting, program, random }
  const whole = await crashRun({ ...common, name: 'undisturbed', kills: 0 })
  const expected = whole.state
  process.stderr.write(
    `undisturbed: ${countOf(expected, 'p:')} profiles, ${countOf(expected, 'i:')} incidents, ${expected.outbox.length} outbox entries, ${whole.seconds.toFixed(1)} s\n`,
  )
  let different = 0
  let killed = 0
  let seconds = 0
  for (let i = 1; i <= runs; i++) {
    const run = await crashRun({ ...common, name: `run-${i}`, kills: killsPerRun })
    const faults = differences(expected, run.state)
    if (faults.length > 0) different++
    killed += run.kills
    seconds += run.seconds
    const verdict = faults.length === 0 ? 'same bytes' : `${faults.length} differences`
    process.stderr.write(`run ${i}/${runs}: ${run.kills} kills, ${verdict}, ${run.seconds.toFixed(1)} s\n`)
    for (const fault of faults.slice(0, SHOWN)) process.stderr.write(`  ${fault}\n`)
  }
  return {
    runs,
    kills: killed,
    different,
    profiles: countOf(expected, 'p:'),
    incidents: countOf(expected, 'i:'),
    outboxEntries: expected.outbox.length,
    secondsPerRun: Number((seconds / runs).toFixed(2)),
  }
}

function storeOption(args: readonly string[]): keyof typeof SETTINGS {
  const at = args.indexOf('--store')
  const name = at < 0 ? 'embedded' : args[at + 1]
  if (name === 'redis' || name === 'embedded') return name
  throw new Error(`--store is redis or embedded, not ${name}`)
}
