import { idOf } from '../../core/hash.ts'
import type { AlertRecord, IncidentTransition, Severity } from '../../core/incident.ts'
import type { Reason } from '../../core/opinion.ts'
import { isoTime } from '../../core/time.ts'
import { type Aspect, type Finding, shortfallSurprise } from './finding.ts'

/** The name under which coverage incidents appear where detectors are named. */
export const COVERAGE = 'coverage'

/** A coverage incident; it never leads to a decision. Plain JSON, stored as it is. */
export interface CoverageIncident {
  readonly id: string
  readonly tenant: string
  readonly source: string
  /** Null when it is about all gateways of the source. */
  readonly gateway: string | null
  readonly aspect: Aspect
  kind: Finding['kind']
  severity: Severity
  /** Event time, epoch ms. */
  readonly openedAt: number
  readonly since: number
  /** What was expected when it opened: lines, or the usual share of a field. */
  readonly expected: number
  /** The sentence that people read. */
  summary: string
  resolvedAt: number | null
}

const SEVERITY: Readonly<Record<Finding['kind'], Severity>> = {
  silent: 'high',
  uncounted: 'high',
  low: 'medium',
  field: 'medium',
}

/** Opens an incident; `time` is the end of the slot that decided it. */
export function openCoverageIncident(
  place: { readonly tenant: string; readonly source: string; readonly gateway: string | null },
  finding: Finding,
  time: number,
): CoverageIncident {
  const { tenant, source, gateway } = place
  return {
    id: idOf('cov', tenant, source, gateway, finding.aspect, time),
    tenant,
    source,
    gateway,
    aspect: finding.aspect,
    kind: finding.kind,
    severity: finding.aspect === 'principal' ? 'high' : SEVERITY[finding.kind],
    openedAt: time,
    since: finding.since,
    expected: finding.expected,
    summary: sentence(source, gateway, finding),
    resolvedAt: null,
  }
}

/** A shortfall became a silence. */
export function escalateCoverageIncident(incident: CoverageIncident, finding: Finding): void {
  incident.kind = finding.kind
  incident.severity = SEVERITY[finding.kind]
  incident.summary = sentence(incident.source, incident.gateway, finding)
}

/** The record that people are told; ids follow from the incident and its transition. */
export function coverageAlert(
  incident: CoverageIncident,
  transition: IncidentTransition,
  time: number,
  finding: Finding | null,
): AlertRecord {
  const { id, tenant, source, gateway } = incident
  const surprise = finding === null ? 0 : surpriseOf(finding)
  return {
    id: idOf('alert', id, transition),
    incident: id,
    time: isoTime(time),
    tenant,
    transition,
    entity: { type: 'source', id: gateway === null ? source : `${source}/${gateway}` },
    detectors: [COVERAGE],
    severity: incident.severity,
    score: 1,
    surprise,
    summary: incident.summary,
    reasons: finding === null ? [] : [reasonOf(finding, surprise)],
    owasp: [],
    firstEventTime: isoTime(incident.since),
    lastEventTime: isoTime(time),
    events: 0,
  }
}

function surpriseOf({ kind, observed, expected }: Finding): number {
  // Of a share only the kind of evidence is comparable: it needs 30 calls, none of which may be usual.
  return kind === 'field'
    ? shortfallSurprise(observed * 30, expected * 30)
    : shortfallSurprise(observed, expected)
}

function reasonOf(finding: Finding, surprise: number): Reason {
  const { kind, aspect, observed, expected, windowMs } = finding
  const share = kind === 'field'
  const spread = share ? 0 : 2.6 * Math.sqrt(expected)
  return {
    detector: COVERAGE,
    feature: windowed(share ? `calls with ${aspect}` : 'lines', windowMs),
    observed,
    expected,
    range: share ? [expected, 1] : [Math.max(0, expected - spread), expected + spread],
    unit: share ? 'share' : 'lines',
    surprise,
    weight: 1,
    comparedWith: kind === 'uncounted' ? "the gateway's own counter" : 'own history',
  }
}

function windowed(feature: string, windowMs: number): string {
  if (windowMs < 60_000) return `${feature}/${Math.round(windowMs / 1_000)}s`
  const minutes = Math.round(windowMs / 60_000)
  return minutes < 1_000 ? `${feature}/${minutes}m` : `${feature}/${Math.round(minutes / 60)}h`
}

function sentence(source: string, gateway: string | null, finding: Finding): string {
  const { kind, aspect, observed, expected, since } = finding
  const who = gateway === null ? `source ${source}` : `gateway ${gateway} of source ${source}`
  const from = isoTime(since)
  const span = spanOf(finding.windowMs)
  switch (kind) {
    case 'silent':
      return `No line from ${who} since ${from}; about ${whole(expected)} were due. Calls through it are not seen.`
    case 'low':
      return `${whole(observed)} lines in ${span} from ${who}, ${whole(expected)} were due: ${percent(1 - observed / expected)} are missing since about ${from}.`
    case 'uncounted':
      return `${whole(observed)} of ${whole(expected)} calls in ${span} that ${who} counted are in its log: ${percent(1 - observed / expected)} are missing since about ${from}.`
    case 'field':
      return `${percent(observed)} of the served calls from ${who} have the field "${aspect}", usually at least ${percent(expected)}: lost since about ${from}.`
  }
}

function spanOf(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / 60_000)} min`
}

function whole(value: number): string {
  return String(Math.round(value))
}

function percent(share: number): string {
  const value = share * 100
  return `${value >= 10 || value === 0 ? Math.round(value) : Math.round(value * 10) / 10} %`
}
