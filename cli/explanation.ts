import type { BlastRadius } from '../core/decision.ts'
import type { AlertRecord } from '../core/incident.ts'
import { combine } from '../engine/combine.ts'
import type { DecisionView, IncidentView } from '../engine/control-plane.ts'
import { cut } from './config/problem.ts'
import { tableText } from './table.ts'

/** Longest summary or reason that is printed, in characters. */
const MAX_SENTENCE = 600

/** An incident for people: what was seen against what was expected, how the surprise adds up, what was done. */
export function incidentText(incident: IncidentView): string {
  const last = incident.transitions.at(-1)
  const end = incident.resolvedAt === null ? '' : `, resolved ${incident.resolvedAt}`
  const lines = [
    `${incident.id}  ${incident.state}${incident.stale ? ', STALE (nobody acted for too long, learning resumed)' : ''}, severity ${incident.severity}`,
    `about ${cut(incident.entity)} of tenant ${cut(incident.tenant)}`,
    `opened ${incident.openedAt}${end}`,
  ]
  if (last === undefined) return `${lines.join('\n')}\n`
  const paragraphs = [
    `${lines.join('\n')}\n`,
    `${sentence(last.summary)}\n`,
    reasonsText(last),
    surpriseText(incident, last),
    transitionsText(incident.transitions),
    ...incident.decisions.map(decisionText),
    undoText(incident),
  ]
  return paragraphs.filter((text) => text !== '').join('\n')
}

/** Whole sentences, escaped piece by piece so that the cutting of single values does not shorten them. */
function sentence(text: string): string {
  const pieces = text.slice(0, MAX_SENTENCE).match(/.{1,80}/gsu) ?? []
  return pieces.map(cut).join('') + (text.length > MAX_SENTENCE ? '…' : '')
}

function reasonsText({ reasons }: AlertRecord): string {
  const rows = reasons.map((reason) => [
    reason.detector,
    reason.feature,
    `${amount(reason.observed)} ${reason.unit}`,
    amount(reason.expected),
    `${amount(reason.range[0])} to ${amount(reason.range[1])}`,
    reason.surprise.toFixed(2),
    `${Math.round(reason.weight * 100)} %`,
    reason.comparedWith,
  ])
  return tableText(
    ['DETECTOR', 'FEATURE', 'OBSERVED', 'EXPECTED', '99 % RANGE', 'SURPRISE', 'SHARE', 'COMPARED WITH'],
    rows,
  )
}

/** The highest surprise of an incident, worked out again from its parts with the engine's own formula. */
export function recombined({ surprise, parts = [] }: IncidentView): {
  readonly combined: number | null
  readonly agrees: boolean
} {
  const combined = combine(parts)
  return { combined, agrees: combined !== null && combined === surprise }
}

function surpriseText(incident: IncidentView, last: AlertRecord): string {
  const { surprise = last.surprise, parts = [] } = incident
  const score = `surprise ${surprise} (-log10 p), score ${last.score}\n`
  if (parts.length === 0) return score
  const rows = parts.map((part) => [part.detector, String(part.surprise), String(part.weight)])
  const { combined, agrees } = recombined(incident)
  const words = agrees ? 'the same' : 'NOT the same: the record was changed, or made by another version'
  return `${score}${tableText(['PART', 'SURPRISE', 'WEIGHT'], rows)}combined again from its parts: ${combined}, ${words}\n`
}

function transitionsText(transitions: readonly AlertRecord[]): string {
  const rows = transitions.map((t) => [t.time, t.transition, t.severity, `${t.events} surprising calls`])
  return tableText(['TIME', 'WHAT', 'SEVERITY', 'EVIDENCE'], rows)
}

/** A decision for people: what should hold, where it stands, what each gateway answered. */
export function decisionText(view: DecisionView): string {
  const { decision, status, statusReason, until, effectiveBy, approval, proof, aliases, receipts } = view
  const limit =
    decision.limit === null
      ? ''
      : `, at most ${decision.limit.requests} per ${decision.limit.windowSeconds} s`
  const lines = [
    `${decision.id}  ${decision.action} of ${cut(decision.entity.id)} (scope ${decision.scope.kind}${limit}), mode ${decision.mode}`,
    `${status}${statusReason === null ? '' : `: ${sentence(statusReason)}`}${until === null ? '' : `, until ${until}`}${effectiveBy === null ? '' : `, effective by ${effectiveBy}`}${proof === null ? '' : `, ${proof.state}${proof.at === null ? '' : ` since ${proof.at}`}`}`,
    ...(approval === null ? [] : [`waits for a person until ${approval.by}, then: ${approval.onTimeout}`]),
    ...blastLine(decision.blast),
    ...aliases.map(({ gateway, principal, state }) => `also at ${gateway} as ${cut(principal)}: ${state}`),
    `because: ${sentence(decision.reason)}`,
    `incident: ${decision.incident}`,
  ]
  const rows = receipts.map((r) => [r.time, r.gateway, r.operation, r.outcome, r.detail])
  const table = rows.length === 0 ? '' : tableText(['TIME', 'GATEWAY', 'CALL', 'OUTCOME', 'DETAIL'], rows)
  return `${lines.join('\n')}\n${table}`
}

function blastLine(blast: BlastRadius | undefined): string[] {
  if (blast === undefined) return []
  const { subjects, tokens, addresses, callsPerDay, share } = blast
  const traffic =
    share === null
      ? ''
      : `, ${callsPerDay} calls on a busy day (${(100 * share).toFixed(2)} % of its gateway)`
  return [`reaches ${subjects} subjects, ${tokens} tokens, ${addresses} addresses${traffic}`]
}

function undoText(incident: IncidentView): string {
  if (incident.state === 'resolved') return ''
  const close = `POST /v1/incidents/${incident.id}/close`
  return `to undo: close the incident on the dashboard, or ${close} with verdict accept (this is normal) or dismiss\n`
}

function amount(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}
