import { strengthOf } from '../core/decision.ts'
import { agreed, notAgreed } from './approvals.ts'
import type { Incident, IssuedDecision } from './incident.ts'
import type { Partition } from './partition.ts'

/**
 * A person lifted one decision, and with it what restricts no more: the gateways drop both. The incident goes on, and what
 * the person knew when lifting is no evidence any more. False when it is gone.
 */
export function released(partition: Partition, incident: string, decision: string): boolean {
  return change(partition, incident, decision, (issued, of) => {
    const most = strengthOf(issued.action)
    for (const other of of.issued) {
      const goes = other === issued || strengthOf(other.action) <= most
      if (goes) other.holdUntil = Math.min(other.holdUntil, partition.now)
    }
    of.attempts = 0
    of.since = { records: 0, requests: 0, bytes: 0, events: 0 }
    if (issued.mode === 'approve') notAgreed(of, issued)
  })
}

/** A person agreed to a decision, which holds until an instant, epoch ms. False when it is gone. */
export function approved(partition: Partition, incident: string, decision: string, until: number): boolean {
  return change(partition, incident, decision, (issued, of) =>
    agreed(of, issued, Math.max(issued.at, partition.now), until),
  )
}

/** A person moved the end of one decision's hold, epoch ms. False when it is gone. */
export function extended(partition: Partition, incident: string, decision: string, until: number): boolean {
  return change(partition, incident, decision, (issued) => {
    issued.holdUntil = until
  })
}

function change(
  { book, settings }: Partition,
  incidentId: string,
  decisionId: string,
  apply: (issued: IssuedDecision, incident: Incident) => void,
): boolean {
  const incident = book.ofId(incidentId)
  const issued = incident?.issued.find((d) => d.id === decisionId)
  if (incident === undefined || issued === undefined) return false
  apply(issued, incident)
  book.touch(incident, settings)
  return true
}
