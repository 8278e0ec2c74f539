import { CORE } from '../baseline/layout.ts'
import { DAY_MS, MINUTE_MS } from '../core/time.ts'
import { dayRecordDetector } from './day-records.ts'

/** A silence is a long one from so many days on that are this many times the longest before. */
const LEAST_SILENCE_DAYS = 3
const LONGER = 1.5
/** Days after its end for which it is spoken of. */
const AWAKE_DAYS = 1
const MINUTES_PER_DAY = DAY_MS / MINUTE_MS

/** Marks, in bytes. */
const LAST = 0 // u32, minutes since the epoch, of the last call
const AWOKE = 4 // u32, when the last long silence ended; 0 = there was none
const LONGEST = 8 // f32, the longest silence, in days

/**
 * A caller that was silent for far longer than ever, and then takes records: keys that nobody uses any more are not watched
 * by anybody either.
 */
const awakening = dayRecordDetector({
  name: 'awakening',
  place: 12,
  summary: 'Records taken within a day after a silence far longer than any before.',
  owasp: ['API2:2023', 'API9:2023'],
  unit: 'records',
  feature: () => 'records/after-silence',
  noise: 10,
  scale: 2,
  leastDays: 1,
  speaksOfStale: true,
  marks: 16,
  counts({ event, profile }, marks) {
    const u = marks / 4
    const now = Math.floor(profile.f64[(profile.base + CORE.lastSeen) / 8]! / MINUTE_MS)
    const last = profile.u32[u + LAST / 4]!
    profile.u32[u + LAST / 4] = now
    if (last === 0) return null
    const silence = (now - last) / MINUTES_PER_DAY
    const longest = profile.f32[u + LONGEST / 4]!
    if (silence >= LEAST_SILENCE_DAYS && silence > LONGER * longest) profile.u32[u + AWOKE / 4] = now
    if (silence > longest) profile.f32[u + LONGEST / 4] = silence
    const awoke = profile.u32[u + AWOKE / 4]!
    if (awoke === 0 || now - awoke >= AWAKE_DAYS * MINUTES_PER_DAY) return null
    if (event.refusedBy !== null || (event.status !== null && event.status >= 400)) return null
    return event.records ?? 1
  },
})
export default awakening
