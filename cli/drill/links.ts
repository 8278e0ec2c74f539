import type { DecisionView, IncidentView, ReadinessCheck } from '../../engine/control-plane.ts'
import { cut } from '../config/problem.ts'

/** A link of the chain from a call to its refusal that does not do its work, and how that shows. */
export interface BrokenLink {
  readonly link: string
  readonly why: string
}

/** What is known when a refusal did not come in time. */
export interface Evidence {
  /** Null when the admin API did not answer. */
  readonly checks: readonly ReadinessCheck[] | null
  readonly served: number
  readonly incident: IncidentView | null
  readonly decision: DecisionView | null
}

/** Which link each readiness check is about. */
const LINK_OF_CHECK: Readonly<Record<string, string>> = {
  store: 'state store',
  log: 'event log',
  detection: 'detection',
  sources: 'access log',
}

/** The first link that a running Curfew itself says is broken, in the order in which one explains another. */
export function failingCheck(checks: readonly ReadinessCheck[] | null): BrokenLink | null {
  if (checks === null) return { link: 'curfew', why: 'its admin API does not answer' }
  const failing = checks.filter(({ ok }) => !ok)
  const order = Object.keys(LINK_OF_CHECK)
  failing.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name))
  const [first] = failing
  return first === undefined
    ? null
    : { link: LINK_OF_CHECK[first.name] ?? first.name, why: cut(first.detail) }
}

/** Names the link because of which the canary is still served. Pure. */
export function brokenLink(evidence: Evidence): BrokenLink {
  const failing = failingCheck(evidence.checks)
  if (failing !== null) return failing
  const { served, incident, decision } = evidence
  if (decision !== null) return heldNowhere(decision)
  if (incident !== null) {
    const events = incident.transitions.at(-1)?.events ?? 0
    const why = `its calls opened an incident (${events} surprising), but nothing was decided: they stay below the impact floors of \`detection\`, or \`allow\` names the canary`
    return { link: 'policy', why }
  }
  return {
    link: 'access log',
    why: `the gateway served ${served} calls, and none of them reached Curfew as a call of the canary`,
  }
}

function heldNowhere({ decision, status, statusReason, receipts }: DecisionView): BrokenLink {
  const reason = statusReason === null ? '' : `: ${cut(statusReason)}`
  switch (status) {
    case 'observed':
      return {
        link: 'policy',
        why: `${decision.action} is only observed${reason || ', the mode is observe'}`,
      }
    case 'awaiting-approval':
    case 'withheld':
      return { link: 'policy', why: `${decision.action} is ${status}${reason}` }
    case 'in-force':
      return {
        link: 'gateway',
        why: `it took the rule (${decision.action}), and goes on serving the canary`,
      }
    default: {
      const failed = receipts.findLast(({ outcome }) => outcome !== 'done')
      if (failed === undefined) return { link: 'adapter', why: `${decision.action} is ${status}${reason}` }
      return { link: `adapter ${failed.gateway}`, why: cut(failed.detail) }
    }
  }
}
