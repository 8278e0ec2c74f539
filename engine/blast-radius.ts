import type { BlastRadius } from '../core/decision.ts'
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
  if (share !== null && share > maxTrafficShare && (callsPerDay ?? 0) >= MIN_CALLS_PER_DAY) {
    return `the caller makes ${percent(share)} of the calls of gateway ${incident.gateway.id} (bound ${percent(maxTrafficShare)})`
  }
  const names = step.scope.kind === 'credential' || step.scope.kind === 'principal'
  if (step.rung >= FIRST_REVOCATION && names && subjects > 1) return `it would cover ${subjects} subjects`
  return null
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`
}
