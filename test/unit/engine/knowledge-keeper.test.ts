import { describe, expect, it } from 'vitest'
import { BURST_BINS } from '../../../baseline/bursts.ts'
import { CELLS } from '../../../baseline/layout.ts'
import { OPERATIONS } from '../../../baseline/operations.ts'
import { OWNER_BUCKETS } from '../../../baseline/owners.ts'
import { PEAKS, PRIOR_SUMS_LENGTH, weighInPrior } from '../../../baseline/prior.ts'
import { BINS } from '../../../engine/calibration.ts'
import {
  BOUNDARY_MS,
  encodeSums,
  frozenCut,
  frozenPrior,
  KnowledgeKeeper,
} from '../../../engine/knowledge.ts'

const BEFORE_OPERATIONS = 4 * CELLS + 168
/** What has been counted since: operations, peaks of known callers and of newcomers; surges and levels stand behind. */
const SINCE = OPERATIONS + PEAKS.length * 2 * BURST_BINS

/** A keeper that has learnt something for every part of its rows, with a cut in force and one that waits. */
function keeper(): KnowledgeKeeper {
  const made = new KnowledgeKeeper()
  for (let boundary = 1; boundary <= 3; boundary++) {
    for (let i = 0; i < 20; i++) weighInPrior(made.sums.prior, 2, 20, 3 + i / 10, 9, 1)
    made.sums.prior.hours[9]! += 40
    made.sums.calibration.events[17]! += 100
    made.sums.calibration.dayMaxima[30]! += 7
    made.observe(boundary * BOUNDARY_MS)
  }
  return made
}

/** A row as releases wrote it that counted less. */
function earlier(row: Float64Array): number[] {
  return [
    ...row.slice(0, BEFORE_OPERATIONS),
    ...row.slice(BEFORE_OPERATIONS + SINCE, BEFORE_OPERATIONS + SINCE + OWNER_BUCKETS),
    ...row.slice(PRIOR_SUMS_LENGTH, PRIOR_SUMS_LENGTH + 2 * BINS),
  ]
}

describe('what an earlier release stored', () => {
  const now = keeper()
  const { frozen, sums } = now.export()
  const length = sums.length
  const rows = [0, 1, 2].map((row) => frozen!.slice(3 + row * length, 3 + (row + 1) * length))
  const stored = Float64Array.from([...frozen!.slice(0, 3), ...rows.flatMap(earlier)])

  it('is taken as if nothing of what is counted since had been seen', () => {
    const restored = new KnowledgeKeeper()
    restored.restore(stored, Float64Array.from(earlier(sums)), null)
    expect(encodeSums(restored.sums)).toEqual(sums)
    expect(restored.active.prior).toEqual(now.active.prior)
    for (let surprise = 0; surprise < 9; surprise++) {
      expect(restored.active.calibration.score(surprise)).toBe(now.active.calibration.score(surprise))
    }
    restored.observe(4 * BOUNDARY_MS)
    now.observe(4 * BOUNDARY_MS)
    expect(restored.export()).toEqual(now.export())
  })

  it('is read so by those who own no partition', () => {
    expect(frozenPrior(stored)).toEqual(frozenPrior(frozen!))
    expect(frozenCut(stored)).toEqual(frozenCut(frozen!))
  })
})
