import type { AccessEvent } from '../core/event.ts'
import { entityId } from '../core/event.ts'
import { isoTime } from '../core/time.ts'
import type { Format, Rejection, SourceSettings } from '../ingest/format.ts'
import { withoutSecrets } from '../ingest/kept-text.ts'

/** What came of one line. */
export interface TriedLine {
  readonly line: number
  readonly events: readonly AccessEvent[]
  readonly rejections: readonly Rejection[]
}

/** A field of events that detection uses, how many calls state it, and what is lost where none does. */
export interface FieldUse {
  readonly field: string
  readonly stated: number
  readonly cost: string
}

interface Field {
  readonly name: string
  readonly states: (event: AccessEvent) => boolean
  readonly show: (event: AccessEvent) => string
  /** What it costs when calls do not state it; empty where that costs nothing. */
  readonly cost: string
}

const isServed = ({ status }: AccessEvent): boolean => status === null || (status >= 200 && status < 300)
const text = (value: string | number | null): string => (value === null ? 'not stated' : String(value))
const positional = ({ id, source }: AccessEvent): boolean => id.startsWith(`${source.topic}/`)

/** The fields of an event, in the order in which they are shown. */
const FIELDS: readonly Field[] = [
  { name: 'time', states: () => true, show: (e) => isoTime(e.time), cost: '' },
  {
    name: 'principal',
    states: (e) => e.principal.verified,
    show: (e) =>
      `${entityId(e.principal)}${e.principal.verified ? ', verified' : ', nobody vouches for a name'}`,
    cost: 'the call is judged as its address: callers behind one address are one, and nothing is held by name',
  },
  {
    name: 'token',
    states: (e) => e.token?.jti != null,
    show: (e) => (e.token === null ? 'not stated' : `iss ${text(e.token.iss)}, jti ${text(e.token.jti)}`),
    cost: 'no jti: a single token cannot be revoked, its caller or credential is held instead',
  },
  {
    name: 'credential',
    states: (e) => e.credential !== null,
    show: (e) => text(e.credential),
    cost: 'a credential cannot be disabled',
  },
  {
    name: 'parents',
    states: (e) => e.parents.length > 0,
    show: (e) => (e.parents.length === 0 ? 'not stated' : e.parents.join(', ')),
    cost: 'peers are learnt, not told: newcomers are judged more coarsely',
  },
  {
    name: 'clientIp',
    states: (e) => e.clientIp !== null,
    show: (e) => text(e.clientIp),
    cost: 'a call without a name cannot be booked, and new networks of a caller are not seen',
  },
  {
    name: 'userAgent',
    states: (e) => e.userAgent !== null,
    show: (e) => text(e.userAgent),
    cost: 'new agents of a caller are not seen',
  },
  {
    name: 'method',
    states: (e) => e.method !== 'UNKNOWN',
    show: (e) => e.method,
    cost: 'writes are not told from reads',
  },
  {
    name: 'route',
    states: (e) => e.route !== '{unknown}',
    show: (e) => e.route,
    cost: 'new routes and probing are not seen',
  },
  { name: 'path', states: (e) => e.path !== '', show: (e) => e.path, cost: 'objects are not seen' },
  {
    name: 'objectIds',
    states: (e) => e.objectIds.length > 0,
    show: (e) => e.objectIds.join(', ') || 'none in the path',
    cost: '',
  },
  {
    name: 'status',
    states: (e) => e.status !== null,
    show: (e) => text(e.status),
    cost: 'refusals, errors and success are not told apart',
  },
  {
    name: 'records',
    states: (e) => e.records !== null || !isServed(e),
    show: (e) => (e.records === null ? 'not stated' : `${e.records} (${e.recordsFrom})`),
    cost: 'an export is measured by response bytes, or by calls where these are missing too',
  },
  {
    name: 'responseBytes',
    states: (e) => e.responseBytes !== null,
    show: (e) => text(e.responseBytes),
    cost: 'records cannot be estimated, and large responses are not seen',
  },
  {
    name: 'requestBytes',
    states: (e) => e.requestBytes !== null,
    show: (e) => text(e.requestBytes),
    cost: 'large uploads are not seen',
  },
  {
    name: 'latencyMs',
    states: (e) => e.latencyMs !== null,
    show: (e) => text(e.latencyMs),
    cost: 'slow responses may be dated by their start',
  },
  {
    name: 'refusedBy',
    states: () => true,
    show: (e) => text(e.refusedBy).replace('not stated', 'nobody'),
    cost: '',
  },
  {
    name: 'id',
    states: (e) => !positional(e),
    show: (e) => (positional(e) ? 'its place in the log' : e.id),
    cost: 'a line that a shipper sends again is known by its place only',
  },
]

/** Reads lines with a format, as a source with these settings would, without their time of arrival. */
export function tryLines(
  format: Format,
  settings: SourceSettings,
  lines: readonly Uint8Array[],
): TriedLine[] {
  return lines.map((bytes, i) => {
    const events: AccessEvent[] = []
    const rejections: Rejection[] = []
    const record = { bytes, receivedAt: Number.NaN, topic: 'line', partition: 0, offset: i + 1 }
    format.parse(record, settings, {
      event: (event) => events.push(withoutSecrets(event)),
      rejected: (rejection) => rejections.push(rejection),
    })
    return { line: i + 1, events, rejections }
  })
}

/** An event field by field. */
export function shownFields(event: AccessEvent): readonly (readonly [string, string])[] {
  return FIELDS.map(({ name, show }) => [name, show(event)])
}

/** What calls state of what detection uses; fields whose absence costs nothing are left out. */
export function fieldUses(events: readonly AccessEvent[]): readonly FieldUse[] {
  return FIELDS.filter(({ cost }) => cost !== '').map(({ name, states, cost }) => {
    const stated = events.filter(states).length
    return { field: name, stated, cost: stated === events.length ? '' : cost }
  })
}
