import { AREA_POINTS } from '../judging/rules.ts'

/** Something that is ranked by its score: a client, a principal-day. */
export interface Ranked {
  readonly score: number
  /** What should stand at the top. */
  readonly positive: boolean
}

/** Highest score first. */
export function byScore(items: readonly Ranked[]): readonly Ranked[] {
  return items.toSorted((a, b) => b.score - a.score)
}

/** Positives among the first `top` of a ranking; where equal scores straddle the border, each counts half. */
export function positivesInTop(ranking: readonly Ranked[], top: number): number {
  const border = ranking[top - 1]?.score
  if (border === undefined) return ranking.filter((item) => item.positive).length
  const straddles = ranking[top]?.score === border
  let count = 0
  for (const { score, positive } of ranking) {
    if (!positive || score < border) continue
    count += score === border && straddles ? 0.5 : 1
  }
  return count
}

/**
 * Area under the ROC curve: the probability that a positive stands above a negative, ties counting half
 * (Mann and Whitney 1947). Null when either is missing.
 */
export function rocArea(ranking: readonly Ranked[]): number | null {
  let above = 0
  let sum = 0
  for (const { positives, negatives } of tiedGroups(ranking)) {
    sum += negatives * (above + positives / 2)
    above += positives
  }
  const negatives = ranking.length - above
  return above === 0 || negatives === 0 ? null : sum / (above * negatives)
}

/**
 * Mean share of positives found over 0.5 to 20 negatives per 1,000 negatives: the part of the ROC curve in
 * which people work. A group of equal scores counts only when it fits whole.
 */
export function partialRocArea(ranking: readonly Ranked[]): number | null {
  const total = ranking.filter((item) => item.positive).length
  const negatives = ranking.length - total
  if (total === 0 || negatives === 0) return null
  const groups = [...tiedGroups(ranking)]
  const shares = AREA_POINTS.map((point) => {
    let found = 0
    let charged = 0
    for (const group of groups) {
      charged += group.negatives
      if ((1000 * charged) / negatives > point) break
      found += group.positives
    }
    return found / total
  })
  return shares.reduce((a, b) => a + b, 0) / shares.length
}

function* tiedGroups(ranking: readonly Ranked[]): Iterable<{ positives: number; negatives: number }> {
  for (let i = 0; i < ranking.length; ) {
    let end = i
    let positives = 0
    for (; end < ranking.length && ranking[end]!.score === ranking[i]!.score; end++) {
      if (ranking[end]!.positive) positives++
    }
    yield { positives, negatives: end - i - positives }
    i = end
  }
}
