import type { AccessEvent } from '../core/event.ts'
import { HOUR_MS } from '../core/time.ts'
import { marksOf } from './marks.ts'
import { peakDetector } from './peaks.ts'

/**
 * Refusals within an hour: 401, 403 and 404, as whoever looks for what it may reach collects them. Asking again for
 * what was just refused does not count: a broken client repeats itself, a probe moves on. Each 401 counts, since the
 * names and passwords that are tried are in no log. Too many requests, failures of the service and our own refusals are
 * no probes.
 */
const probing = peakDetector({
  name: 'probing',
  place: 4,
  summary: 'More answers 401, 403 and 404 within an hour than this caller and nearly all others collect.',
  owasp: ['API1:2023', 'API2:2023', 'API5:2023'],
  slotMs: HOUR_MS,
  feature: 'refusals/1h',
  unit: 'refused calls',
  of: 'refusals',
  rare: true,
  marks: 4,
  counts(event, profile, marks) {
    const { status } = event
    if (status === null || !isRefusal(status) || event.refusedBy === 'curfew') return false
    const { operation, object } = marksOf(event)
    const asked = (object ^ Math.imul(operation + 1, 0x9e37_79b1)) >>> 0
    const u = marks / 4
    const again = profile.u32[u] === asked
    profile.u32[u] = asked
    return !again || status === UNAUTHENTICATED
  },
})
export default probing

const UNAUTHENTICATED = 401

function isRefusal(status: NonNullable<AccessEvent['status']>): boolean {
  return status === UNAUTHENTICATED || status === 403 || status === 404
}
