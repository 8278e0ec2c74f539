import { HOUR_MS } from '../core/time.ts'
import { marksOf } from './marks.ts'
import { peakDetector } from './peaks.ts'

/** Places remembered: the one that called last, and the one before it. */
const LAST = 0
const BEFORE = 1

/**
 * One caller in two places at a time. A place is a network and a client program; who moves leaves one for good, and
 * two that share a credential take turns. Counted is the call that comes from the place before the last one, so a move
 * counts nothing and there and back once. Which places a credential is used from all the time, as by several machines, its
 * own days tell.
 */
const tokenSharing = peakDetector({
  name: 'token-sharing',
  place: 6,
  summary:
    'Calls that take turns between two networks or clients within an hour, more than with this caller and nearly all others.',
  owasp: ['API2:2023'],
  slotMs: HOUR_MS,
  feature: 'network-turns/1h',
  unit: 'turns',
  of: 'turns',
  rare: true,
  marks: 4,
  counts(event, profile, marks) {
    const { network, agent } = marksOf(event)
    if (network === 0) return false
    const u = marks / 2
    const place = (network + Math.imul(agent, 0x9e37)) & 0xffff || 1
    const last = profile.u16[u + LAST]!
    if (place === last) return false
    const isBack = place === profile.u16[u + BEFORE]!
    profile.u16[u + BEFORE] = last
    profile.u16[u + LAST] = place
    return isBack
  },
})
export default tokenSharing
