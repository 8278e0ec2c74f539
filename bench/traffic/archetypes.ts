import { APPS, BROWSERS, SDKS } from './agents.ts'
import type { Random } from './random.ts'
import { OPS } from './routes.ts'

/** How the calls of a caller are spread over time. */
export type Rhythm = 'sessions' | 'poisson' | 'jobs' | 'exports' | 'builds' | 'probe'

/** What callers of one kind have in common. */
export interface Archetype {
  readonly name: string
  /** Share of the callers of a tenant. */
  readonly share: number
  readonly rhythm: Rhythm
  /** Events in 28 days: median and sigma of the log, least and most. */
  readonly rate: readonly [median: number, sigma: number, least: number, most: number]
  /** Calls of a sitting, burst, job run or build on average. */
  readonly burst: number
  /** Seconds between the calls of one: median, sigma of the log. */
  readonly gap: readonly [median: number, sigma: number]
  /** Share of the stationary weight of each operation, in the order of OPS. */
  readonly ops: readonly number[]
  /** How much an operation follows on itself. */
  readonly sticky: number
  /** Objects that a caller owns: median, sigma of the log. */
  readonly objects: readonly [median: number, sigma: number]
  /** Reads what its whole organisation owns. */
  readonly orgWide: boolean
  readonly agents: readonly string[]
  readonly network: 'person' | 'mobile' | 'cloud' | 'pool'
  /** Life of a token in hours; 0 for an API key. */
  readonly tokenHours: readonly number[]
  /** Records of an export, median. */
  readonly exportRecords: readonly [median: number, sigma: number]
}

const PERSON = {
  rhythm: 'sessions',
  sticky: 0.2,
  orgWide: false,
  tokenHours: [8, 8, 12],
} as const
const MACHINE = {
  agents: SDKS,
  orgWide: true,
  network: 'cloud',
  tokenHours: [0, 1, 24],
  gap: [0.9, 0.8],
  sticky: 0.5,
} as const

//                       list  read  search export create update delete admin auth
const BROWSE = /*     */ [0.24, 0.42, 0.1, 0.012, 0.06, 0.09, 0.008, 0, 0.07]

export const ARCHETYPES: Readonly<Record<string, Archetype>> = {
  human: {
    ...PERSON,
    name: 'human',
    share: 0.42,
    rate: [30, 1.85, 0.8, 2_600],
    burst: 2.7,
    gap: [11, 1.1],
    ops: BROWSE,
    objects: [140, 1.1],
    agents: BROWSERS,
    network: 'person',
    exportRecords: [60, 0.9],
  },
  mobile: {
    ...PERSON,
    name: 'mobile',
    share: 0.31,
    rate: [10, 1.9, 0.5, 1_200],
    burst: 1.6,
    gap: [5, 1],
    ops: [0.3, 0.4, 0.06, 0, 0.07, 0.05, 0.005, 0, 0.12],
    objects: [40, 0.9],
    agents: APPS,
    network: 'mobile',
    exportRecords: [30, 0.6],
  },
  partner: {
    ...MACHINE,
    name: 'partner',
    share: 0.06,
    rhythm: 'poisson',
    rate: [220, 2.3, 8, 120_000],
    burst: 4,
    ops: [0.2, 0.5, 0.06, 0.01, 0.1, 0.1, 0.01, 0, 0.02],
    objects: [1_500, 1.2],
    exportRecords: [250, 0.8],
  },
  cron: {
    ...MACHINE,
    name: 'cron',
    share: 0.05,
    rhythm: 'jobs',
    rate: [1_100, 1.1, 28, 20_000],
    burst: 12,
    ops: [0.34, 0.36, 0.08, 0.06, 0.06, 0.08, 0.01, 0, 0.01],
    objects: [400, 1],
    exportRecords: [200, 0.7],
  },
  etl: {
    ...MACHINE,
    name: 'etl',
    share: 0.02,
    rhythm: 'exports',
    rate: [1_500, 1.6, 40, 90_000],
    burst: 60,
    ops: [0.45, 0.1, 0, 0.44, 0, 0, 0, 0, 0.01],
    objects: [4_000, 1],
    exportRecords: [1_000, 0.9],
  },
  ci: {
    ...MACHINE,
    name: 'ci',
    share: 0.02,
    rhythm: 'builds',
    rate: [500, 1.5, 20, 20_000],
    burst: 24,
    ops: [0.2, 0.25, 0.06, 0, 0.2, 0.14, 0.12, 0, 0.03],
    objects: [120, 0.8],
    agents: ['ci'],
    network: 'pool',
    tokenHours: [1],
    exportRecords: [50, 0.5],
  },
  admin: {
    ...PERSON,
    name: 'admin',
    share: 0.02,
    rate: [55, 1, 8, 900],
    burst: 12,
    gap: [9, 1.1],
    ops: [0.2, 0.26, 0.1, 0.03, 0.03, 0.06, 0.01, 0.27, 0.04],
    objects: [300, 0.8],
    orgWide: true,
    agents: BROWSERS,
    network: 'person',
    exportRecords: [90, 0.9],
  },
  monitor: {
    ...MACHINE,
    name: 'monitor',
    share: 0.02,
    rhythm: 'probe',
    rate: [17_000, 0.7, 4_000, 81_000],
    burst: 1,
    ops: [0.1, 0.2, 0, 0, 0, 0, 0, 0, 0.7],
    objects: [4, 0.4],
    orgWide: false,
    agents: ['monitor'],
    tokenHours: [0],
    exportRecords: [10, 0.1],
  },
  dormant: {
    ...MACHINE,
    name: 'dormant',
    share: 0.05,
    rhythm: 'sessions',
    rate: [220, 0.7, 60, 800],
    burst: 8,
    ops: BROWSE,
    objects: [200, 1],
    exportRecords: [80, 0.8],
  },
  newborn: {
    ...MACHINE,
    name: 'newborn',
    share: 0.04,
    rhythm: 'sessions',
    rate: [160, 1.2, 10, 3_000],
    burst: 7,
    ops: BROWSE,
    objects: [120, 1],
    exportRecords: [80, 0.8],
  },
}

/** Cumulative rows of a caller's own Markov chain over OPS: the archetype's, with every row bent a little. */
export function ownChain(archetype: Archetype, random: Random): Float64Array {
  const n = OPS.length
  const taste = archetype.ops.map((w) => w * random.logNormal(1, 0.45))
  const chain = new Float64Array(n * n)
  for (let from = 0; from < n; from++) {
    const row = taste.map((w, to) => w * random.logNormal(1, 0.3) * follows(from, to))
    const total = row.reduce((a, b) => a + b, 0)
    let sum = 0
    for (let to = 0; to < n; to++) {
      sum += (1 - archetype.sticky) * (row[to]! / total) + (to === from ? archetype.sticky : 0)
      chain[from * n + to] = sum
    }
  }
  return chain
}

/** After a list comes a read, after a read an update: the grammar that all callers share. */
function follows(from: number, to: number): number {
  if (from === 0 && to === 1) return 2.4
  if (from === 1 && to === 5) return 2
  if (from === 2 && to === 1) return 2.6
  if (from === 4 && to === 1) return 1.8
  if (from === 8 && to === 0) return 2.5
  return 1
}
