import type { ApprovalTimeout } from '../core/decision.ts'
import { isoTime, SECOND_MS } from '../core/time.ts'
import type { Incident, IssuedDecision } from './incident.ts'
import type { SettingValues } from './settings.ts'

/** Whether a person has been asked about the incident and still may answer: nothing further is asked meanwhile. */
export function waitsForPerson(incident: Incident): boolean {
  return incident.issued.some((issued) => approvalDue(issued) < Number.POSITIVE_INFINITY)
}

/** When the time to agree to a decision is over, epoch ms of event time; infinite where it waits for nobody. */
export function approvalDue({ approveBy }: IssuedDecision): number {
  return approveBy ?? Number.POSITIVE_INFINITY
}

/** When the first time to agree to a decision of the incident is over; infinite where none waits. */
export function firstApprovalDue(incident: Incident): number {
  return incident.issued.reduce(
    (first, issued) => Math.min(first, approvalDue(issued)),
    Number.POSITIVE_INFINITY,
  )
}

/** A person agreed: the decision holds from `at` until `until`, epoch ms of event time. */
export function agreed(incident: Incident, issued: IssuedDecision, at: number, until: number): void {
  issued.mode = 'enforce'
  issued.approveBy = null
  issued.at = at
  issued.holdUntil = until
  incident.attempts = 0
}

/** Nobody agreed, or somebody said no: only what happens from now on is a reason to ask again. */
export function notAgreed(incident: Incident, issued: IssuedDecision): void {
  issued.approveBy = null
  incident.attempts = 0
  incident.since = { records: 0, requests: 0, bytes: 0, events: 0 }
}

/**
 * Ends, carries out or extends the decisions that nobody agreed to before `now`. From `overAt` on (epoch ms of
 * event time) nobody is asked again: the incident is over then, or nobody has cared about it for too long.
 */
export function passApprovals(
  incident: Incident,
  now: number,
  overAt: number,
  { approvalSeconds, holdSeconds }: SettingValues,
): readonly ApprovalTimeout[] {
  const said: ApprovalTimeout[] = []
  for (const issued of incident.issued) {
    for (let due = approvalDue(issued); due <= now; due = approvalDue(issued)) {
      const outcome = issued.onTimeout === 'extend' && due >= overAt ? 'drop' : (issued.onTimeout ?? 'drop')
      // However far time moved at once, people are asked once.
      const step = approvalSeconds * SECOND_MS
      if (outcome === 'extend') issued.approveBy = due + step * (Math.floor((now - due) / step) + 1)
      else if (outcome === 'act') agreed(incident, issued, due, due + holdSeconds * SECOND_MS)
      else notAgreed(incident, issued)
      said.push({
        decision: issued.id,
        outcome,
        at: due,
        by: issued.approveBy ?? null,
        evidenceAt: incident.evidenceAt,
        reason: `nobody agreed by ${isoTime(due)}${outcome === 'extend' ? ': asked again' : ''}`,
      })
    }
  }
  return said
}

/** Ends what still waits because the incident is over. */
export function dropApprovals(incident: Incident, at: number): readonly ApprovalTimeout[] {
  const waiting = incident.issued.filter((issued) => approvalDue(issued) < Number.POSITIVE_INFINITY)
  return waiting.map((issued) => {
    notAgreed(incident, issued)
    const { evidenceAt } = incident
    const reason = `the incident was over at ${isoTime(at)}, before anybody agreed`
    return { decision: issued.id, outcome: 'drop', at, by: null, evidenceAt, reason }
  })
}
