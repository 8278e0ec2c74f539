import type { PublicData } from './data.ts'

/** One file of the Numenta Anomaly Benchmark, in file order: times repeat and step back in some. */
export interface Series {
  /** Such as `realTweets/Twitter_volume_AAPL.csv`. */
  readonly name: string
  readonly category: string
  /** Epoch ms, as if the stated local times were UTC. */
  readonly times: Float64Array
  readonly values: Float64Array
  /** First and last row of each labelled window, both inside. */
  readonly windows: readonly (readonly [first: number, last: number])[]
}

/** The 58 labelled files, in the order of the label file. */
export function readSeries(data: PublicData): readonly Series[] {
  const labels = data.json<Record<string, [string, string][]>>('nab', 'labels/combined_windows.json')
  return Object.entries(labels).map(([name, windows]) => readOne(data, name, windows))
}

function readOne(data: PublicData, name: string, windows: [string, string][]): Series {
  const rows = data
    .lines('nab', `data/${name}`)
    .slice(1)
    .map((line) => line.split(','))
  const stamps = rows.map(([stamp]) => stamp!)
  const rowOf = (label: string) => {
    const row = stamps.indexOf(label.replace(/\.0+$/, ''))
    if (row < 0) throw new Error(`${name}: no row at the window edge ${label}`)
    return row
  }
  return {
    name,
    category: name.split('/')[0]!,
    times: Float64Array.from(stamps, (stamp) => Date.parse(`${stamp.replace(' ', 'T')}Z`)),
    values: Float64Array.from(rows, ([, value]) => Number(value)),
    windows: windows.map(([from, to]) => [rowOf(from), rowOf(to)] as const),
  }
}
