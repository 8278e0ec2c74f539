import { isoTime } from '../core/time.ts'
import type { DecisionView, IncidentView } from '../engine/control-plane.ts'
import type { Incident } from '../engine/incident.ts'

/** An incident as people see it, with where its decisions stand. */
export function incidentView(incident: Incident, decisions: readonly DecisionView[]): IncidentView {
  const { id, tenant, entity, severity, openedAt, resolvedAt, transitions, surprise, parts } = incident
  return {
    id,
    tenant,
    entity: entity.id,
    state: resolvedAt === null ? 'open' : 'resolved',
    severity,
    stale: incident.stale,
    openedAt: isoTime(openedAt),
    resolvedAt: resolvedAt === null ? null : isoTime(resolvedAt),
    transitions,
    surprise,
    parts,
    decisions,
  }
}
