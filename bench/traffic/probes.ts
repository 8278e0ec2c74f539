import { OptionsError, readOptions, seedOption } from './command-line.ts'
import { areaUnderCurve, bestStump, growTree } from './decision-tree.ts'
import { CALL_FEATURES, callFeatures, rawFeatures } from './event-features.ts'
import { type EpisodeLabel, type Level, SIZES, type Size } from './labels.ts'
import { AGGREGATES, PrincipalAggregates } from './principal-aggregates.ts'
import { Random } from './random.ts'
import { Traffic, type TrafficOptions } from './traffic.ts'

const USAGE = 'usage: npm run bench -- probes --seed N [--seeds COUNT] [--size small|full]'

/** Bounds: areas under the curve of D3 to D5, F1 of the stump. */
export const MOST_AREA = 0.55
export const MOST_F1 = 0.5
const DEPTH = 4
const RESAMPLES = 400
const SUBTLE: readonly (Level | null)[] = ['D3', 'D4', 'D5']

/** One call of an attack or of its pair. */
export interface Row {
  readonly attack: string
  readonly isAttack: boolean
  readonly route: number
  readonly values: Float64Array
}

export interface Probe {
  readonly name: string
  readonly levels: string
  readonly rows: number
  readonly attacks: number
  readonly area: number
  /** 95 %, by bootstrap over attacks. */
  readonly interval: readonly [number, number]
  readonly bound: number | null
  readonly holds: boolean | null
}

export interface StumpProbe {
  readonly feature: string
  readonly f1: number
}

/** `probes`: whether anything but behaviour tells attacks from ordinary calls. */
export async function run(args: readonly string[]): Promise<void> {
  let seeds: number[]
  let size: Size
  try {
    const { values } = readOptions(args, ['seed', 'seeds', 'size'], [])
    const found = SIZES.find((s) => s === (values.get('size') ?? 'small'))
    if (found === undefined || found === 'light') throw new OptionsError('--size is small or full')
    size = found
    const first = seedOption(values.get('seed'))
    const count = seedOption(values.get('seeds') ?? '1')
    if (count < 1 || count > 100) throw new OptionsError(`--seeds is a number from 1 to 100, not ${count}`)
    seeds = Array.from({ length: count }, (_, i) => first + i)
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    process.stderr.write(`${error.message}\n${USAGE}\n`)
    process.exitCode = 2
    return
  }
  const { probes, stumps } = probeWorlds(seeds.map((seed) => ({ size, seed, faults: false })))
  for (const p of probes) {
    const bound = p.bound === null ? '' : `  bound ${p.bound}${p.holds === true ? '' : '  BROKEN'}`
    process.stdout.write(
      `${p.name.padEnd(14)} ${p.levels.padEnd(6)} AUC ${p.area.toFixed(3)} [${p.interval.map((x) => x.toFixed(3)).join(', ')}]` +
        `  ${p.attacks} attacks, ${p.rows} calls${bound}\n`,
    )
  }
  for (const { feature, f1 } of stumps) {
    process.stdout.write(
      `stump ${feature.padEnd(24)} F1 ${f1.toFixed(3)}${f1 < MOST_F1 ? '' : '  BROKEN'}  bound ${MOST_F1}\n`,
    )
  }
  const holds = probes.every((p) => p.holds !== false) && stumps.every((s) => s.f1 < MOST_F1)
  process.stdout.write(`${JSON.stringify({ size, seeds, probes, stumps, holds })}\n`)
}

/** All probes over these worlds together. */
export function probeWorlds(worlds: readonly TrafficOptions[]): {
  readonly probes: readonly Probe[]
  readonly stumps: readonly StumpProbe[]
} {
  const raw: { row: Row; level: Level | null }[] = []
  const calls: { row: Row; level: Level | null }[] = []
  const aggregates = new PrincipalAggregates()
  for (const options of worlds) {
    const traffic = new Traffic(options)
    const lines = labelledLines(traffic, aggregates)
    const episodes = new Map(traffic.book.labels().map((e) => [e.id, e]))
    aggregates.close(traffic, [...episodes.values()])
    for (const { episode, route, text } of lines) {
      const label = episodes.get(episode)!
      const attack = label.kind === 'attack' ? label : episodes.get(label.of!)!
      const of = { attack: `${options.seed}/${attack.id}`, isAttack: label.kind === 'attack', route }
      raw.push({ row: { ...of, values: rawFeatures(text) }, level: attack.level })
      calls.push({ row: { ...of, values: excused(callFeatures(text), attack) }, level: attack.level })
    }
  }
  const subtle = (all: typeof raw) => all.filter((r) => SUBTLE.includes(r.level)).map((r) => r.row)
  const loud = (all: typeof raw) => all.filter((r) => !SUBTLE.includes(r.level)).map((r) => r.row)
  const probes = [
    probe('raw', 'D3-D5', subtle(raw), MOST_AREA),
    probe('single events', 'D3-D5', subtle(calls), MOST_AREA),
    probe('raw', 'D1-D2', loud(raw), null),
    probe('single events', 'D1-D2', loud(calls), null),
  ]
  const stumps = AGGREGATES.map((feature, i) => ({
    feature,
    f1: bestStump(
      aggregates.rows.map((r) => r.values[i]!),
      aggregates.rows.map((r) => r.isVictim),
    ),
  }))
  return { probes, stumps }
}

/** What an attack's own true features speak of may differ; it is blanked in attack and pair alike. */
function excused(values: Float64Array, attack: EpisodeLabel): Float64Array {
  CALL_FEATURES.forEach(([, feature], i) => {
    if (feature !== null && attack.features.includes(feature)) values[i] = 0
  })
  return values
}

/** Reads the whole log; keeps the lines of attacks and pairs. */
function labelledLines(traffic: Traffic, aggregates: PrincipalAggregates) {
  const kept: { episode: string; route: number; text: string }[] = []
  let current: { episode: string; route: number } | null = null
  aggregates.open(traffic)
  traffic.watch((call) => {
    aggregates.add(call)
    const episode = call.episode < 0 ? null : traffic.book.episodes[call.episode]!
    const wanted = episode !== null && (episode.kind === 'attack' || episode.kind === 'pair')
    current = wanted ? { episode: episode.id, route: call.tenant * 1_000 + call.route } : null
  })
  for (const text of traffic.lines()) {
    const label = current as { episode: string; route: number } | null
    if (label !== null) kept.push({ ...label, text })
  }
  return kept
}

/** As many calls of each route from an attack as from its pair: routes then tell nothing. */
export function matched(rows: readonly Row[]): Row[] {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const key = `${row.attack}#${row.route}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [row])
    else group.push(row)
  }
  return [...groups.values()].flatMap((group) => {
    const attack = group.filter((r) => r.isAttack)
    const pair = group.filter((r) => !r.isAttack)
    const n = Math.min(attack.length, pair.length)
    return [...evenly(attack, n), ...evenly(pair, n)]
  })
}

function evenly<T>(list: readonly T[], n: number): T[] {
  return Array.from({ length: n }, (_, i) => list[Math.floor((i * list.length) / n)]!)
}

/** Trees that never saw an attack tell its calls from its pair's. Attacks weigh the same: their areas are averaged. */
export function probe(name: string, levels: string, all: readonly Row[], bound: number | null): Probe {
  const rows = matched(all)
  const attacks = [...new Set(rows.map((r) => r.attack))]
  const folds = Math.min(10, attacks.length)
  const scores = new Float64Array(rows.length)
  for (let fold = 0; fold < folds; fold++) {
    const out = new Set(attacks.filter((_, i) => i % folds === fold))
    const train = rows.filter((r) => !out.has(r.attack))
    const tree = growTree(
      train.map((r) => r.values),
      train.map((r) => r.isAttack),
      DEPTH,
    )
    rows.forEach((r, i) => {
      if (out.has(r.attack)) scores[i] = tree.predict(r.values)
    })
  }
  const byAttack = attacks.map((attack) => {
    const own = rows.flatMap((r, i) =>
      r.attack === attack ? [{ label: r.isAttack, score: scores[i]! }] : [],
    )
    const area = areaUnderCurve(
      own.map((o) => o.score),
      own.map((o) => o.label),
    )
    return { area, weight: own.length }
  })
  const area = weightedMean(byAttack)
  const interval = bootstrap(byAttack)
  const holds = bound === null ? null : area <= bound && interval[0] <= 0.5
  return { name, levels, rows: rows.length, attacks: attacks.length, area, interval, bound, holds }
}

function weightedMean(areas: readonly { readonly area: number; readonly weight: number }[]): number {
  const weight = areas.reduce((sum, a) => sum + a.weight, 0)
  return weight === 0 ? 0.5 : areas.reduce((sum, a) => sum + a.area * a.weight, 0) / weight
}

function bootstrap(areas: readonly { readonly area: number; readonly weight: number }[]): [number, number] {
  if (areas.length === 0) return [0.5, 0.5]
  const random = new Random(91)
  const means = Array.from({ length: RESAMPLES }, () => weightedMean(areas.map(() => random.pick(areas))))
  means.sort((a, b) => a - b)
  return [means[Math.floor(0.025 * RESAMPLES)]!, means[Math.ceil(0.975 * RESAMPLES) - 1]!]
}
