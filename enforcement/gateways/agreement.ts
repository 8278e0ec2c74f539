import { CurfewError } from '../../core/errors.ts'

const MAX_ROUNDS = 4

/**
 * Repeats a change until its attempt finds that what it wrote has stayed. An attempt that meets a retriable
 * `GATEWAY_CONFLICT` is repeated as well; other errors pass through. Throws a retriable `GATEWAY_CONFLICT` when
 * somebody else writes the same each time. `gateway` and `what` are for people.
 */
export async function untilAgreed(
  gateway: string,
  what: string,
  attempt: () => Promise<boolean>,
): Promise<void> {
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    try {
      if (await attempt()) return
    } catch (error) {
      const again = error instanceof CurfewError && error.code === 'GATEWAY_CONFLICT' && error.retriable
      if (!again || round === MAX_ROUNDS) throw error
    }
  }
  const why = `what was written did not stay after ${MAX_ROUNDS} attempts: somebody else writes the same ${what}`
  throw new CurfewError('GATEWAY_CONFLICT', `${gateway}: ${why}`, { retriable: true })
}
