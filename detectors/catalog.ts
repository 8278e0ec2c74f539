import burst from './burst.ts'
import type { Detector } from './detector.ts'
import novelty from './novelty.ts'
import offHours from './off-hours.ts'
import volume from './volume.ts'

/** Every detector, in the order in which their sections lie in a profile. */
export const DETECTORS: readonly Detector[] = [volume, offHours, novelty, burst]
