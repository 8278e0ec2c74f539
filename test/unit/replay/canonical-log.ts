import type { AccessEvent } from '../../../core/event.ts'
import { isoTime } from '../../../core/time.ts'

/** An event as a producer of the canonical format would write it. */
export function canonicalLine(event: AccessEvent): string {
  const { id, principal, method, path, status, responseBytes, records, refusedBy, clientIp, token } = event
  return JSON.stringify({
    id,
    time: isoTime(event.time),
    principal,
    method,
    path,
    status,
    responseBytes,
    records,
    ...(refusedBy === null ? {} : { refusedBy }),
    clientIp,
    ...(token === null ? {} : { token }),
  })
}

export function canonicalLog(events: readonly AccessEvent[]): string {
  return events.map((event) => `${canonicalLine(event)}\n`).join('')
}
