import { CORE } from '../baseline/layout.ts'
import { HOUR_MS } from '../core/time.ts'
import { dayRecordDetector } from './day-records.ts'

/**
 * A caller that is at work for more hours of a day than ever. Who copies slowly stays below every amount, and needs the
 * hours instead.
 */
const longDay = dayRecordDetector({
  name: 'long-day',
  place: 13,
  summary: 'Calls in more hours of one day than on any day before.',
  // At full weight people who work when they like alarm (docs/decisions/0038-days-with-more-than-any-before.md).
  weight: 0.5,
  owasp: ['API6:2023'],
  unit: 'hours with calls',
  feature: () => 'hours/day',
  noise: 2,
  scale: 20,
  leastDays: 7,
  speaksOfStale: false,
  marks: 8,
  counts({ profile }, marks) {
    // u32, the hour since the epoch that was counted last
    const hour = Math.floor(profile.f64[(profile.base + CORE.lastSeen) / 8]! / HOUR_MS)
    const isNew = profile.u32[marks / 4] !== hour
    profile.u32[marks / 4] = hour
    return isNew ? 1 : 0
  },
})
export default longDay
