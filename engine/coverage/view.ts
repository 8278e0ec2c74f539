import { isoTime } from '../../core/time.ts'
import type { CoverageIncidentView, FeedView } from '../control-plane.ts'
import type { CoverageIncident } from './coverage-alert.ts'
import type { Feed } from './feed.ts'
import type { Aspect } from './finding.ts'
import type { WorkIncident } from './own-work.ts'
import { LINES } from './slots.ts'

const HOURS_OF_WEEK = 168
const FIVE_MINUTES = 2

/** A feed as people see it. */
export function feedView(
  source: string,
  gateway: string | null,
  feed: Feed,
  missing: readonly Aspect[],
  judgedTo: number,
): FeedView {
  const { knownHours } = feed
  return {
    source,
    gateway,
    state: missing.length > 0 ? 'missing' : knownHours < HOURS_OF_WEEK ? 'learning' : 'complete',
    missing,
    lastLine: Number.isNaN(feed.lastLineAt) ? null : isoTime(feed.lastLineAt),
    linesIn5Minutes: feed.ring.sum(FIVE_MINUTES, LINES),
    usualPerHour: Number.isNaN(judgedTo) ? null : feed.dueInHour(judgedTo),
    knownHours,
  }
}

/** A coverage incident as people see it. */
export function incidentView(incident: CoverageIncident): CoverageIncidentView {
  const { id, tenant, source, gateway, aspect, kind, severity, summary } = incident
  return {
    id,
    tenant,
    source,
    gateway,
    aspect,
    kind,
    severity,
    state: incident.resolvedAt === null ? 'open' : 'resolved',
    openedAt: isoTime(incident.openedAt),
    since: isoTime(incident.since),
    resolvedAt: incident.resolvedAt === null ? null : isoTime(incident.resolvedAt),
    summary,
  }
}

/** An incident about Curfew itself as people see it. */
export function workIncidentView(incident: WorkIncident, tenant: string): CoverageIncidentView {
  const { id, kind, openedAt, from, summary } = incident
  return {
    id,
    tenant,
    source: null,
    gateway: null,
    aspect: 'judging',
    kind,
    severity: 'high',
    state: 'open',
    openedAt: isoTime(openedAt),
    since: isoTime(from),
    resolvedAt: null,
    summary,
  }
}
