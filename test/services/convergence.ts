import { CurfewError } from '../../core/errors.ts'
import { type WallTimeMs, wallTime } from '../../core/time.ts'
import type { GatewayAdapter, Rule } from '../../enforcement/gateway.ts'
import { plan } from '../../enforcement/plan.ts'

const never = new AbortController().signal
const NOW: WallTimeMs = wallTime(1_780_000_000_000)
const MAX_ROUNDS = 12

/**
 * Rounds of a reconciler until a look finds nothing to do; says how many it took. Every failure on the way must be
 * one that a reconciler knows how to take.
 */
export async function converge(gateway: GatewayAdapter, desired: readonly Rule[]): Promise<number> {
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    try {
      const next = plan(desired, await gateway.list(never), NOW)
      if (next.put.length + next.remove.length === 0) return round
      for (const one of next.put) await gateway.put(one, never)
      for (const id of next.remove) await gateway.remove(id, never)
    } catch (error) {
      if (!(error instanceof CurfewError) || !error.retriable) throw error
    }
  }
  throw new Error('did not converge')
}

/** Ids as an attacker would choose them, if an identity provider let him. */
export const HOSTILE_IDS: readonly string[] = [
  'a;rm -rf /',
  'a\nb',
  'a\r\nHost: evil',
  '"quoted"',
  "it's",
  '../../users',
  '..%2f..%2fusers',
  'a/logout?x=1#y',
  'a\u0000b',
  '\u202eevil',
  '\ud800',
  '',
  ' ',
  'x'.repeat(10_240),
]
