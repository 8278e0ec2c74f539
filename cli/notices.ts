import { idOf } from '../core/hash.ts'
import { type AlertRecord, NOTICE_DETECTOR } from '../core/incident.ts'
import { isoTime, type WallTimeMs } from '../core/time.ts'
import type { EnforcementView } from '../enforcement/ledger.ts'
import { latchText } from './latch.ts'
import type { Latch } from './latch-folder.ts'

/** What all notices have in common: something about Curfew itself that a person has to look at. */
function notice(
  now: WallTimeMs,
  about: Partial<AlertRecord> & Pick<AlertRecord, 'id' | 'summary'>,
): AlertRecord {
  const time = isoTime(now)
  return {
    incident: about.id,
    time,
    tenant: 'default',
    transition: 'opened',
    entity: { type: 'tenant', id: 'default' },
    detectors: [NOTICE_DETECTOR],
    severity: 'critical',
    score: 1,
    surprise: 0,
    reasons: [],
    owasp: [],
    firstEventTime: time,
    lastEventTime: time,
    events: 0,
    ...about,
  }
}

/** A decision that the traffic shows not to be in force. Part of its incident's story. */
export function leakNotice({ decision, effectiveBy, proof }: EnforcementView, now: WallTimeMs): AlertRecord {
  const what = `${decision.action} ${decision.id} of ${decision.entity.id}`
  return notice(now, {
    id: idOf('alr', decision.id, 'leaking'),
    incident: decision.incident,
    tenant: decision.tenant,
    transition: 'escalated',
    entity: decision.entity,
    summary: `${what} is not holding: it had to be in force by ${effectiveBy ?? 'now'}, a call that it should refuse was served at ${proof?.at ?? 'an unknown time'}.`,
  })
}

/** Curfew only observes from now on. */
export function latchNotice(latch: Latch, now: WallTimeMs): AlertRecord {
  return notice(now, { id: idOf('alr', latch.id), summary: `Enforcement is ${latchText(latch)}.` })
}

/** The store says that it may lose state. */
export function storeNotice(detail: string, now: WallTimeMs): AlertRecord {
  return notice(now, { id: idOf('alr', 'store', detail, now), summary: `The state is not safe: ${detail}.` })
}
