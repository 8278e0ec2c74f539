/** The demo's generator serves the benchmarks too. */
export { seededRandom } from '../cli/demo/seeded-random.ts'

/** A standard normal deviate (Box and Muller 1958). */
export function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}
