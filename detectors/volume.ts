import { CELLS, CORE, DERIVED, METRICS, TOTAL, WINDOW_COUNT, WINDOWS } from '../baseline/layout.ts'
import { degreesOfFreedom, independentWindows, predict, rangeOf } from '../baseline/predictive.ts'
import { EVEN_ODDS, MAX_SURPRISE, studentSurprise } from '../baseline/tail.ts'
import type { Reason } from '../core/opinion.ts'
import type { Detector, Question } from './detector.ts'

const UNITS = ['requests', 'records', 'bytes'] as const

/**
 * How much a caller asks for: requests, records and bytes in windows of a minute to a day. At every call
 * the running total is held against the predictive distribution of the whole window, so a download is
 * noticed while it runs. The twelve tails are strongly dependent; their harmonic mean p-value stays
 * valid under dependence (Wilson, PNAS 116 (2019) 1195).
 */
const volume: Detector = {
  name: 'volume',
  place: 0,
  version: 1,
  summary:
    'Requests, records or bytes far above what this caller and its peers use in a minute, ten, an hour or a day.',
  sectionBytes: 0,
  weight: 1,
  owasp: ['API4:2023'],
  score,
  explain,
  learn() {
    // The running windows are learnt by the baseline when they close.
  },
}
export default volume

function score({ profile }: Question): number {
  const totals = (profile.base + TOTAL) / 8
  const f = (profile.base + profile.derived) / 4
  let inverse = 0
  let known = 0
  for (let cell = 0; cell < CELLS; cell++) {
    const total = profile.f64[totals + cell]!
    if (total === 0) continue
    known++
    // At or below the middle nothing needs computing: one comparison decides.
    inverse +=
      total <= profile.f32[f + DERIVED.median / 4 + cell]! ? 2 : 10 ** cellSurprise(profile, cell, total)
  }
  const surprise = Math.log10(inverse / known)
  return surprise > MAX_SURPRISE ? MAX_SURPRISE : surprise
}

function cellSurprise(profile: Question['profile'], cell: number, total: number): number {
  const f = (profile.base + profile.derived) / 4 + cell
  const t =
    (Math.log(1 + total) - profile.f32[f + DERIVED.center / 4]!) * profile.f32[f + DERIVED.inverseScale / 4]!
  if (t <= 0) return EVEN_ODDS
  return studentSurprise(t, degreesOfFreedom(independentWindows(profile, cell)))
}

function explain({ profile, prior }: Question): readonly Reason[] {
  const totals = (profile.base + TOTAL) / 8
  const hourIndex = profile.u32[(profile.base + CORE.hourIndex) / 4]!
  const found: { cell: number; total: number; surprise: number }[] = []
  for (let cell = 0; cell < CELLS; cell++) {
    const total = profile.f64[totals + cell]!
    if (total > 0) found.push({ cell, total, surprise: cellSurprise(profile, cell, total) })
  }
  found.sort((a, b) => b.surprise - a.surprise || a.cell - b.cell)
  // The windows of one metric say the same thing; people learn more from one line per metric.
  const told = found.filter((f, i) => found.findIndex((g) => metricOf(g.cell) === metricOf(f.cell)) === i)
  const inverse = told.reduce((sum, { surprise }) => sum + 10 ** surprise, 0)
  return told.map(({ cell, total, surprise }) => {
    const p = predict(profile, prior, cell, hourIndex)
    const metric = metricOf(cell)
    return {
      detector: 'volume',
      feature: `${METRICS[metric]}/${WINDOWS[cell % WINDOW_COUNT]}`,
      observed: total,
      ...rangeOf(p),
      unit: UNITS[metric]!,
      surprise,
      weight: 10 ** surprise / inverse,
      comparedWith: p.ownShare >= 0.8 ? 'own history' : p.ownShare > 0 ? 'own history and peers' : 'peers',
    }
  })
}

function metricOf(cell: number): number {
  return (cell / WINDOW_COUNT) | 0
}
