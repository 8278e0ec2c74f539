import { DAY_MS } from './time.ts'

/**
 * What a caller may do at most, well above all it has ever done: what stands at a gateway ahead of any incident.
 * Null where nothing is known to count by.
 */
export interface EnvelopeLimits {
  /** Calls that have not been answered yet. */
  readonly inFlight: number
  readonly requestsPer10s: number
  readonly recordsPer10min: number | null
  /** Bytes of responses. */
  readonly bytesPer10min: number | null
}

/** Every limit of an envelope, in the order in which they are shown. */
export const ENVELOPE_LIMITS = ['inFlight', 'requestsPer10s', 'recordsPer10min', 'bytesPer10min'] as const
/** The name of a limit. */
export type EnvelopeLimit = (typeof ENVELOPE_LIMITS)[number]

/** Limits made of each limit by itself. */
export function eachLimit(of: (name: EnvelopeLimit) => number | null): EnvelopeLimits {
  return {
    inFlight: of('inFlight') ?? Number.MAX_SAFE_INTEGER,
    requestsPer10s: of('requestsPer10s') ?? Number.MAX_SAFE_INTEGER,
    recordsPer10min: of('recordsPer10min'),
    bytesPer10min: of('bytesPer10min'),
  }
}

/** Limits that stood from an instant on: what may grow by and by. */
export interface StandingLimits {
  readonly limits: EnvelopeLimits
  /** Epoch ms. */
  readonly at: number
}

/**
 * What of the wished limits is granted: each grows by at most the factor `growthPerDay` in a day, however often it is
 * asked, so that nobody walks its own limit up in a night. Smaller ones are granted at once.
 */
export function grantedLimits(
  wished: EnvelopeLimits,
  standing: StandingLimits | null,
  growthPerDay: number,
  now: number,
): EnvelopeLimits {
  if (standing === null) return wished
  const factor = growthPerDay ** (Math.max(0, now - standing.at) / DAY_MS)
  return eachLimit((name) => {
    const [wish, before] = [wished[name], standing.limits[name]]
    return wish === null || before === null ? (wish ?? before) : Math.min(wish, before * factor)
  })
}
