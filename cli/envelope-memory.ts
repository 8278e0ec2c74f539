import { ENVELOPE_LIMITS, type EnvelopeLimits, type StandingLimits } from '../core/envelope.ts'
import type { EnvelopeMemory } from '../enforcement/envelope-keeper.ts'
import type { SharedMap } from './shared-map.ts'

/** Remembers in a shared map what limits stood since when: `[at, in flight, requests, records, bytes]` by envelope id. */
export function envelopeMemory(map: SharedMap): EnvelopeMemory {
  return {
    load: () => {
      const found = new Map<string, StandingLimits>()
      for (const [id, text] of map.entries()) {
        const standing = parsed(text)
        // A damaged one is as if there had been none: the profile alone says.
        if (standing !== null) found.set(id, standing)
      }
      return found
    },
    save: (puts, deletes) => map.change(new Map([...puts].map(([id, s]) => [id, textOf(s)])), deletes),
  }
}

function textOf({ limits, at }: StandingLimits): string {
  return JSON.stringify([at, ...ENVELOPE_LIMITS.map((name) => limits[name])])
}

function parsed(text: string): StandingLimits | null {
  let values: unknown
  try {
    values = JSON.parse(text)
  } catch {
    return null
  }
  if (!Array.isArray(values) || values.length !== 1 + ENVELOPE_LIMITS.length) return null
  const [at, inFlight, requestsPer10s, recordsPer10min, bytesPer10min] = values as unknown[]
  const isLimit = (value: unknown) => value === null || (Number.isFinite(value) && Number(value) >= 0)
  if (!Number.isFinite(at) || inFlight === null || requestsPer10s === null) return null
  const limits = { inFlight, requestsPer10s, recordsPer10min, bytesPer10min }
  return Object.values(limits).every(isLimit) ? { at: Number(at), limits: limits as EnvelopeLimits } : null
}
