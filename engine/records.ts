import type { Decision } from '../core/decision.ts'
import type { AccessEvent } from '../core/event.ts'
import { entityId } from '../core/event.ts'
import { isoTime } from '../core/time.ts'
import type { Outcome } from './outcome.ts'

/** The line of the decisions output: what a decision is to people; adapters get the whole decision. */
export function decisionLine(d: Decision): string {
  const { id, time, tenant, entity, action, scope, limit, mode, holdSeconds, incident, reason } = d
  return JSON.stringify({
    id,
    time,
    tenant,
    entity,
    action,
    scope,
    limit,
    mode,
    holdSeconds,
    incident,
    reason,
  })
}

/**
 * The line of the scores output. `line` counts input lines from 1; `event` is the log's own id, else
 * `<line>:<index>`.
 */
export function scoreLine(event: AccessEvent, line: number, outcome: Outcome): string {
  const { source, principal } = event
  const ownId = event.id !== `${source.topic}/${source.partition}/${source.offset}/${source.index}`
  const entity = { type: principal.kind === 'ip' ? 'ip' : 'principal', id: entityId(principal) }
  return JSON.stringify({
    line,
    index: source.index,
    event: ownId ? event.id : `${line}:${source.index}`,
    time: isoTime(event.time),
    tenant: event.tenant,
    entity,
    score: outcome.score,
    surprise: outcome.surprise,
    ...(outcome.duplicate ? { duplicate: true } : {}),
  })
}
