import { describe, expect, it } from 'vitest'
import type { Reason } from '../../../core/opinion.ts'
import { speaksForTheft } from '../../../engine/evidence.ts'

const ALONE = 8

const reason = (detector: string, feature: string, surprise: number): Reason => ({
  detector,
  feature,
  observed: 1,
  expected: 0,
  range: [0, 1],
  unit: 'calls',
  surprise,
  weight: 1,
  comparedWith: 'own history',
})

const THEFT: readonly (readonly [string, readonly Reason[], boolean])[] = [
  ['much of what it always does', [reason('volume', 'records/1h', 9)], false],
  ['an absurd amount', [reason('volume', 'records/1h', 12)], true],
  [
    'one amount that two detectors tell of',
    [reason('volume', 'records/1h', 7), reason('surge', 'records/largest-hour', 7)],
    false,
  ],
  [
    'an amount in a day of many hours',
    [reason('volume', 'records/1h', 7), reason('long-day', 'hours/day', 7)],
    false,
  ],
  [
    'an amount by operations that it seldom uses',
    [reason('volume', 'records/1h', 7), reason('rare-operations', 'operation/GET /export', 7)],
    false,
  ],
  [
    'an amount from a new place',
    [reason('volume', 'records/1h', 4), reason('new-place', 'network/new-with-client', 3)],
    true,
  ],
  ['a new place alone', [reason('new-place', 'network/new-with-client', 7)], false],
  ['a new place beyond all doubt', [reason('new-place', 'network/new-with-client', 8)], true],
  [
    'one new place that two detectors tell of',
    [
      reason('new-place', 'network/new-with-client', 5),
      reason('novelty', 'network/new', 3),
      reason('novelty', 'client/new', 2),
    ],
    false,
  ],
  [
    'one operation that two detectors tell of, and too little of the place',
    [
      reason('novelty', 'operation/DELETE /a', 2),
      reason('rare-operations', 'operation/DELETE /a', 2),
      reason('novelty', 'network/new', 2.4),
    ],
    false,
  ],
  [
    'a new place by habits that are not its own',
    [reason('novelty', 'operation/DELETE /a', 3), reason('new-place', 'network/new-with-client', 3)],
    true,
  ],
  [
    'another order beside an amount',
    [reason('sequence', 'sequence/GET /a', 9), reason('volume', 'records/1h', 7)],
    false,
  ],
]

describe('evidence for a credential in other hands', () => {
  it.each(THEFT)('%s', (_, reasons, expected) => {
    expect(speaksForTheft(reasons, ALONE)).toBe(expected)
  })
})
