import awakening from './awakening.ts'
import burst from './burst.ts'
import changePoint from './change-point.ts'
import type { Detector } from './detector.ts'
import enumeration from './enumeration.ts'
import longDay from './long-day.ts'
import newObjects from './new-objects.ts'
import newPlace from './new-place.ts'
import novelty from './novelty.ts'
import offHours from './off-hours.ts'
import probing from './probing.ts'
import rareOperations from './rare-operations.ts'
import sequence from './sequence.ts'
import surge from './surge.ts'
import tokenSharing from './token-sharing.ts'
import volume from './volume.ts'

/** Every detector, in the order in which their sections lie in a profile. */
export const DETECTORS: readonly Detector[] = [
  volume,
  offHours,
  novelty,
  burst,
  probing,
  enumeration,
  tokenSharing,
  changePoint,
  surge,
  newObjects,
  sequence,
  newPlace,
  awakening,
  longDay,
  rareOperations,
]

/**
 * The detectors of these names, in the order of {@link DETECTORS}. What a profile holds for the others is carried
 * along as it is.
 */
export function detectorsNamed(names: readonly string[]): readonly Detector[] {
  return DETECTORS.filter(({ name }) => names.includes(name))
}
