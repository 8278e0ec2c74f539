/** A binary classification tree by Gini impurity, for finding out whether anything gives a label away. */
export interface Tree {
  /** Share of positive rows among those that end in the same leaf. */
  predict(row: ArrayLike<number>): number
}

interface Node {
  readonly share: number
  readonly feature: number
  readonly threshold: number
  readonly low: Node | null
  readonly high: Node | null
}

const MIN_LEAF = 15

/** Grows a tree of at most so many levels. Deterministic. */
export function growTree(
  rows: readonly ArrayLike<number>[],
  labels: readonly boolean[],
  depth: number,
): Tree {
  const root = grow(
    rows,
    labels,
    rows.map((_, i) => i),
    depth,
  )
  return {
    predict(row) {
      let node = root
      while (node.low !== null && node.high !== null) {
        node = row[node.feature]! <= node.threshold ? node.low : node.high
      }
      return node.share
    },
  }
}

function grow(
  rows: readonly ArrayLike<number>[],
  labels: readonly boolean[],
  members: readonly number[],
  depth: number,
): Node {
  const positives = members.filter((i) => labels[i]).length
  const share = members.length === 0 ? 0.5 : positives / members.length
  const leaf: Node = { share, feature: 0, threshold: 0, low: null, high: null }
  if (depth === 0 || members.length < 2 * MIN_LEAF || share === 0 || share === 1) return leaf
  let best = { gain: 1e-9, feature: -1, threshold: 0 }
  for (let feature = 0; feature < rows[0]!.length; feature++) {
    const split = bestSplit(rows, labels, members, feature, positives)
    if (split.gain > best.gain) best = { ...split, feature }
  }
  if (best.feature < 0) return leaf
  const isLow = (i: number) => rows[i]![best.feature]! <= best.threshold
  return {
    share,
    feature: best.feature,
    threshold: best.threshold,
    low: grow(rows, labels, members.filter(isLow), depth - 1),
    high: grow(
      rows,
      labels,
      members.filter((i) => !isLow(i)),
      depth - 1,
    ),
  }
}

function bestSplit(
  rows: readonly ArrayLike<number>[],
  labels: readonly boolean[],
  members: readonly number[],
  feature: number,
  positives: number,
): { gain: number; threshold: number } {
  const sorted = [...members].sort((a, b) => rows[a]![feature]! - rows[b]![feature]!)
  const n = sorted.length
  const whole = impurity(positives, n)
  let best = { gain: 0, threshold: 0 }
  let lowPositives = 0
  for (let k = 1; k < n; k++) {
    if (labels[sorted[k - 1]!]) lowPositives++
    const before = rows[sorted[k - 1]!]![feature]!
    const after = rows[sorted[k]!]![feature]!
    if (before === after || k < MIN_LEAF || n - k < MIN_LEAF) continue
    const gain = whole - impurity(lowPositives, k) - impurity(positives - lowPositives, n - k)
    if (gain > best.gain) best = { gain, threshold: (before + after) / 2 }
  }
  return best
}

function impurity(positives: number, n: number): number {
  return (2 * positives * (n - positives)) / n
}

/** Area under the ROC curve: the share of pairs in which the positive scores higher, ties count half. */
export function areaUnderCurve(scores: readonly number[], labels: readonly boolean[]): number {
  const order = scores.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]!)
  let ranks = 0
  let positives = 0
  for (let i = 0; i < order.length; ) {
    let j = i
    while (j < order.length && scores[order[j]!] === scores[order[i]!]) j++
    for (let k = i; k < j; k++) {
      if (!labels[order[k]!]) continue
      ranks += (i + j + 1) / 2
      positives++
    }
    i = j
  }
  const negatives = order.length - positives
  return positives === 0 || negatives === 0
    ? 0.5
    : (ranks - (positives * (positives + 1)) / 2) / (positives * negatives)
}

/** The best F1 of any threshold on one feature, in either direction. */
export function bestStump(values: readonly number[], labels: readonly boolean[]): number {
  const positives = labels.filter(Boolean).length
  const order = values.map((_, i) => i).sort((a, b) => values[b]! - values[a]!)
  return Math.max(along(order), along(order.toReversed()))

  function along(sorted: readonly number[]): number {
    let hits = 0
    let best = 0
    sorted.forEach((i, k) => {
      if (labels[i]) hits++
      if (k + 1 < sorted.length && values[sorted[k + 1]!] === values[i]) return
      best = Math.max(best, (2 * hits) / (k + 1 + positives))
    })
    return best
  }
}
