import { peakDetector } from './peaks.ts'

/** Many calls within ten seconds: a script let loose, long before its minute or hour looks large. */
const burst = peakDetector({
  name: 'burst',
  place: 3,
  summary: 'More calls within ten seconds than this caller and nearly all others have in their busiest ones.',
  owasp: ['API4:2023'],
  // A script let loose is not yet a harm.
  weight: 0.5,
  slotMs: 10_000,
  feature: 'requests/10s',
  unit: 'requests',
  of: 'bursts',
  rare: false,
  marks: 0,
  counts: () => true,
})
export default burst
