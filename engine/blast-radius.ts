import type { BlastRadius } from '../core/decision.ts'
import type { TrafficShare } from './gateway-traffic.ts'
import type { Incident } from './incident.ts'
import type { Step } from './policy.ts'
import type { SettingValues } from './settings.ts'

/** Whoever calls less than this on its busy days is nobody's traffic, however little a gateway has to do. */
const MIN_CALLS_PER_DAY = 200
/** From this rung on tokens and credentials are taken away. */
const FIRST_REVOCATION = 3

/** Who and what a step reaches, as far as the incident and the traffic before it show. */
export function blastRadius(incident: Incident): BlastRadius {
  const { tokens, traffic, addresses } = incident
  const subjects = new Set(
    tokens.flatMap(({ iss, sub }) => (sub === null ? [] : [JSON.stringify([iss, sub])])),
  )
  return {
    subjects: subjects.size,
    tokens: tokens.length,
    addresses: addresses?.length ?? 0,
    callsPerDay: traffic?.callsPerDay ?? null,
    share: traffic?.share ?? null,
  }
}

/** Why a person must look before a step is taken, or null. */
export function tooWide(
  incident: Incident,
  step: Step,
  { share, callsPerDay, subjects }: BlastRadius,
  { maxTrafficShare }: SettingValues,
): string | null {
  const traffic = share === null ? null : { share, callsPerDay: callsPerDay ?? 0 }
  if (traffic !== null && isTooLarge(traffic, maxTrafficShare))
    return shareReason('the caller', `gateway ${incident.gateway.id}`, traffic.share, maxTrafficShare)
  const names = step.scope.kind === 'credential' || step.scope.kind === 'principal'
  if (step.rung >= FIRST_REVOCATION && names && subjects > 1) return `it would cover ${subjects} subjects`
  return null
}

/** Whether so much would stop with a caller that a person must look. */
export function isTooLarge({ share, callsPerDay }: TrafficShare, maxTrafficShare: number): boolean {
  return share > maxTrafficShare && callsPerDay >= MIN_CALLS_PER_DAY
}

/** Says what would stop with a caller; `of` names whose calls the share is taken of. */
export function shareReason(caller: string, of: string, share: number, maxTrafficShare: number): string {
  return `${caller} makes ${percent(share)} of the calls of ${of} (bound ${percent(maxTrafficShare)})`
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`
}
