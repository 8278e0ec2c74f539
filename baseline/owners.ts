/** Owners are told apart by a hash: two that share a bucket share a weight, which only makes theirs smaller. */
export const OWNER_BUCKETS = 32
/** The largest share of the callers that count which may belong to one owner. */
const MOST_SHARE = 0.05
/** Callers of one owner that count however few others there are. */
const FREE = 3

/**
 * Whether a caller of an owner may count in what is known about all: no owner may have more than 5 % of those who
 * count, or, where there are fewer than 20 owners, more than its equal share. `owners`: callers that count, per bucket;
 * `counts`: whether this one is among them.
 */
export function mayCount(owners: Float64Array, bucket: number, counts: boolean): boolean {
  let total = counts ? 0 : 1
  let present = 0
  for (const [b, callers] of owners.entries()) {
    total += callers
    if (callers > 0 || b === bucket) present++
  }
  const own = owners[bucket]! + (counts ? 0 : 1)
  return own <= Math.max(MOST_SHARE, 1 / present) * total + FREE
}
