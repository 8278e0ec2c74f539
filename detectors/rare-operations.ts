import { OPERATIONS } from '../baseline/operations.ts'
import { dayRecordDetector } from './day-records.ts'
import { marksOf } from './marks.ts'

/** Share of all callers' calls, each day of a caller weighing the same, below which an operation is rare: a third of an equal share. */
const RARE = 1 / (3 * OPERATIONS)

/**
 * Operations that hardly anybody uses, more of them in a day than ever: administration, export, removal. A caller that may
 * use them does so now and then; that it does so again and again is no everyday work.
 */
const rareOperations = dayRecordDetector({
  name: 'rare-operations',
  place: 14,
  summary: 'Operations that few callers use, more of them in a day than on any day before.',
  // At full weight people who work when they like alarm (docs/decisions/0038-days-with-more-than-any-before.md).
  weight: 0.5,
  owasp: ['API5:2023'],
  unit: 'calls of rare operations',
  feature: ({ method, route }) => `operation/${method} ${route}`,
  noise: 2,
  scale: 10,
  leastDays: 7,
  speaksOfStale: false,
  marks: 0,
  counts: ({ event, prior }) => (prior.operations[marksOf(event).operation]! < RARE ? 1 : null),
})
export default rareOperations
