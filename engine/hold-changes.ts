import { agreed, notAgreed } from './approvals.ts'
import type { Incident, IssuedDecision } from './incident.ts'
import type { Partition } from './partition.ts'

/** A person lifted one decision: the principal is no longer held, the incident goes on. False when it is gone. */
export function released(partition: Partition, incident: string, decision: string): boolean {
  return change(partition, incident, decision, (issued, of) => {
    issued.holdUntil = Math.min(issued.holdUntil, partition.now)
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
