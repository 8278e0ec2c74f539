import { MAX_LABEL_LENGTH } from '../core/decision.ts'
import type { AlertRecord } from '../core/incident.ts'
import { asciiJson, inert, mapStrings } from './log-text.ts'
import type { AlertDigest, AlertMessage } from './sink.ts'

/** Standard Webhooks advises to stay below 20 kB. */
export const MAX_BODY_BYTES = 20_000

const MAX_SENTENCE_LENGTH = 1000
const SENTENCES: ReadonlySet<string> = new Set(['summary', 'reason', 'undo', 'incidentUrl'])

/** Tried from the most to the least complete until the body fits. */
const DETAIL = [
  { items: 20, label: MAX_LABEL_LENGTH, sentence: MAX_SENTENCE_LENGTH },
  { items: 8, label: 128, sentence: 400 },
  { items: 3, label: 64, sentence: 150 },
  { items: 1, label: 32, sentence: 64 },
] as const

/** The body of `incident.opened`, `incident.escalated` or `incident.resolved`: pure ASCII JSON, bounded. */
export function messageBody(message: AlertMessage): string {
  const { alert, decisions, incidentUrl, undo } = message
  let body = ''
  for (const { items, label, sentence } of DETAIL) {
    const data = mapStrings({ alert, decisions, incidentUrl, undo }, items, (text, key) =>
      inert(text, SENTENCES.has(key) ? sentence : label),
    )
    body = asciiJson({ type: `incident.${alert.transition}`, timestamp: inert(alert.time, 32), data })
    if (body.length < MAX_BODY_BYTES) break
  }
  return body
}

/** What a digest says about each alert that it shows. */
function brief(alert: AlertRecord): object {
  const { id, incident, transition, entity, severity, time, tenant } = alert
  return mapStrings({ id, incident, transition, entity, severity, time, tenant }, 1, (text) =>
    inert(text, 128),
  )
}

/** The body of `incident.digest`: the first alerts in short, the ids of as many others as fit, and the total. */
export function digestBody(digest: AlertDigest): string {
  const total = digest.alerts.length + digest.omitted
  const shown: object[] = []
  const ids: string[] = []
  let room = MAX_BODY_BYTES - 500
  for (const alert of digest.alerts) {
    const entry = brief(alert)
    const id = inert(alert.id, 64)
    const entrySize = asciiJson(entry).length + 1
    const idSize = asciiJson(id).length + 1
    // Half of the room is kept for ids, which cost less than entries.
    if (ids.length === 0 && room - entrySize > MAX_BODY_BYTES / 2) {
      shown.push(entry)
      room -= entrySize
    } else if (room > idSize) {
      ids.push(id)
      room -= idSize
    } else break
  }
  const timestamp = inert(digest.alerts.at(-1)?.time ?? '', 32)
  const data = { id: inert(digest.id, 64), total, omitted: digest.omitted, alerts: shown, moreIds: ids }
  return asciiJson({ type: 'incident.digest', timestamp, data })
}
