import { fileURLToPath } from 'node:url'
import { compared, kindOf, planFor, pointsNamed } from './crash-compare.ts'
import { crashRun } from './crash-runs.ts'
import { type CrashSetting, embeddedSetting, redisSetting } from './crash-settings.ts'
import { countOf } from './crash-state.ts'
import { numberOption } from './options.ts'
import { seededRandom } from './seeded-random.ts'

const SETTINGS = { redis: redisSetting, embedded: embeddedSetting }
type StoreName = keyof typeof SETTINGS
const PRINCIPALS = 400
const SEED = 11
const SHOWN = 5

/**
 * Kills a small installation at named points while operators change things, again and again until its log is
 * read, and compares all it leaves with an undisturbed run under the same control list: `--store
 * redis|embedded`, `--kill-point NAME|random|all`, `--runs`, `--events`, `--kills` per run.
 */
export async function run(args: readonly string[]): Promise<void> {
  const store = storeOption(args)
  const points = pointsNamed(textOption(args, 'kill-point', 'all'), store)
  const events = numberOption(args, 'events', 20_000)
  const runs = numberOption(args, 'runs', 50)
  const kills = numberOption(args, 'kills', 3)
  const setting = await SETTINGS[store]({ events, principals: PRINCIPALS, seed: SEED })
  try {
    const result = await compareAll(setting, points, runs, kills)
    process.stdout.write(`${JSON.stringify({ benchmark: 'crash', store, events, ...result })}\n`)
    if (result.differing > 0) process.exitCode = 1
  } finally {
    await setting.close()
  }
}

async function compareAll(
  setting: CrashSetting,
  points: ReturnType<typeof pointsNamed>,
  runs: number,
  killsPerRun: number,
) {
  const program = fileURLToPath(new URL('./crash-worker.js', import.meta.url))
  const random = seededRandom(SEED + 1)
  const records = setting.ends.reduce((sum, n) => sum + n, 0)
  const whole = await crashRun({ setting, program, name: 'whole', kills: [] })
  const { state: expected } = whole
  process.stderr.write(
    `undisturbed: ${countOf(expected, 'p:')} profiles, ${countOf(expected, 'i:')} incidents, ${expected.outbox.length} outbox entries, ${expected.messages} messages, ${whole.control.flat().length} control records, ${whole.seconds.toFixed(1)} s\n`,
  )
  const killsByKind: Record<string, number> = {}
  const killsByPoint: Record<string, number> = {}
  const total = { kills: 0, differing: 0, doubled: 0, repeated: 0, control: 0, knowledge: 0 }
  for (let i = 0; i < runs; i++) {
    const here = Array.from({ length: killsPerRun }, (_, k) => points[(i * killsPerRun + k) % points.length]!)
    const plans = here.map((point) =>
      planFor(point, 1 / (killsPerRun + 1), whole.report.passages[point.name] ?? 0, records, random),
    )
    const { run: done, faults } = await compared({ setting, program, name: `run-${i}`, kills: plans })
    for (const name of done.kills) {
      killsByPoint[name] = (killsByPoint[name] ?? 0) + 1
      killsByKind[kindOf(name)] = (killsByKind[kindOf(name)] ?? 0) + 1
    }
    total.kills += done.kills.length
    total.doubled += done.state.doubled.length
    total.repeated += done.state.repeated
    total.control += done.control.flat().length
    total.knowledge += done.control.flat().filter(({ kind }) => kind === 'knowledge').length
    if (faults.length > 0) total.differing++
    const verdict = faults.length === 0 ? 'same' : `${faults.length} differences`
    process.stderr.write(
      `run ${i + 1}/${runs}: killed at ${done.kills.join(', ')}: ${verdict}, ${done.state.repeated} repeated, ${done.seconds.toFixed(1)} s\n`,
    )
    for (const fault of faults.slice(0, SHOWN)) process.stderr.write(`  ${fault}\n`)
  }
  return {
    runs,
    kills: total.kills,
    killsByKind,
    killsByPoint,
    differing: total.differing,
    doubled: total.doubled,
    repeatedDeliveries: total.repeated,
    controlRecords: total.control,
    knowledgeRecords: total.knowledge,
    profiles: countOf(expected, 'p:'),
    incidents: countOf(expected, 'i:'),
    outboxEntries: expected.outbox.length,
  }
}

function textOption(args: readonly string[], name: string, fallback: string): string {
  const at = args.indexOf(`--${name}`)
  return at < 0 ? fallback : (args[at + 1] ?? '')
}

function storeOption(args: readonly string[]): StoreName {
  const name = textOption(args, 'store', 'embedded')
  if (name === 'redis' || name === 'embedded') return name
  throw new Error(`--store is redis or embedded, not ${name}`)
}
