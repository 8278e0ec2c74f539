import type { AccessEvent, RefusedBy } from '../../core/event.ts'
import { type EventTimeMs, eventTime } from '../../core/time.ts'
import type { SourceSettings } from '../format.ts'
import { contentRangeCount, countOf, estimatedCount, type RecordsCount } from '../records-count.ts'
import { objectIdsInQuery, templateOf } from '../route-template.ts'
import { cutText, withoutTokens } from '../scrub.ts'
import { timeIsPlausible } from './event-time.ts'
import { ABSENT, ARRAY, type Fields, NULL, NUMBER, TEXT, wellFormed } from './json-fields.ts'
import { type EventReader, jsonFormat } from './json-format.ts'
import { KONG, type KongPlan, kongPlan } from './kong-fields.ts'
import { addressIdentity, kongIdentity } from './kong-identity.ts'
import type { Line } from './line.ts'
import type { KnownText } from './text-table.ts'

export const UNAUTHENTICATED = 401
export const MAX_PATH_CHARS = 2_048
export const MAX_USER_AGENT_CHARS = 256
const MAX_QUERY_CHARS = 2_048
const MAX_REQUEST_ID_CHARS = 128
const MAX_METHOD_CHARS = 32
/** What stands for a request line that was too broken for Kong to have a method or path. */
const UNKNOWN_METHOD = 'UNKNOWN'
const UNKNOWN_ROUTE = '{unknown}'

/**
 * Kong Gateway: the log serializer's object as http-log, file-log, tcp-log and kafka-log send it, alone or
 * in an array. The claims of a JWT are read from the custom field `jwt` when the plugin writes one.
 */
export const kongReader: EventReader<KongPlan> = { name: 'kong', plan: kongPlan, read: readKong }

export const kong = jsonFormat(kongReader)

function readKong(f: Fields, plan: KongPlan, line: Line): AccessEvent | null {
  line.readAddress(f, KONG.clientIp)
  const time = completionOf(f, line)
  const tenant = line.tenant(f, plan.tenant)
  const status = statusOf(f, line)
  const refused = refusedBy(f, status)
  // Whom a gateway turned away as unauthenticated it does not vouch for, whatever else the line says.
  const { principal, parents, token, credential } =
    refused === 'gateway' && status === UNAUTHENTICATED
      ? addressIdentity(line)
      : kongIdentity(f, line.settings.principal, line)
  if (time === null || tenant === null || principal === null || (line.salvaged && status === null))
    return null
  const { path, route, objectIds } = targetOf(f, line, status)
  const responseBytes = bytesOf(f, KONG.responseSize, 'response.size', line)
  const { records, recordsFrom } = recordsOf(f, plan, line.settings, responseBytes, status)
  const { topic, partition, offset } = line.record
  return {
    id: requestIdOf(f, line),
    time,
    receivedAt: line.record.receivedAt,
    tenant,
    principal,
    parents,
    token,
    credential,
    clientIp: line.address?.ip ?? null,
    userAgent: userAgentOf(f),
    method: methodOf(f, line, status),
    route,
    path,
    objectIds,
    status,
    latencyMs: latencyOf(f, KONG.requestLatency),
    requestBytes: bytesOf(f, KONG.requestSize, 'request.size', line),
    responseBytes,
    records,
    recordsFrom,
    refusedBy: refused,
    gateway: line.gateway(f, plan.gateway),
    source: { topic, partition, offset, index: line.index },
  }
}

function requestIdOf(f: Fields, line: Line): string {
  const id = f.kind(KONG.requestId) === TEXT ? f.text(KONG.requestId) : ''
  return id === '' ? positionId(line) : cutText(id, MAX_REQUEST_ID_CHARS)
}

export function positionId(line: Line): string {
  const { topic, partition, offset } = line.record
  return `${topic}/${partition}/${offset}/${line.index}`
}

/**
 * Start plus duration. A line that states its start twice, or that was cut before it, still is a call: dated
 * by its receipt when that is known.
 */
function completionOf(f: Fields, line: Line): EventTimeMs | null {
  const { receivedAt } = line.record
  if (line.duplicates.includes('started_at') && Number.isFinite(receivedAt)) return eventTime(receivedAt)
  const kind = f.kind(KONG.startedAt)
  if (kind === ABSENT && line.salvaged && Number.isFinite(receivedAt)) return eventTime(receivedAt)
  if (kind === ABSENT || kind === NULL) return line.nothing('missing-field', 'started_at')
  if (kind !== NUMBER) return line.nothing('wrong-type', 'started_at', f.value(KONG.startedAt))
  const startedAt = f.number(KONG.startedAt)
  if (!Number.isFinite(startedAt)) return line.nothing('bad-number', 'started_at', startedAt)
  const time = Math.round(startedAt + (latencyOf(f, KONG.requestLatency) ?? 0))
  if (!timeIsPlausible(time, receivedAt)) return line.nothing('time-out-of-bounds', 'started_at', startedAt)
  return eventTime(time)
}

function latencyOf(f: Fields, slot: number): number | null {
  if (f.kind(slot) !== NUMBER) return null
  const ms = f.number(slot)
  return ms >= 0 && ms <= Number.MAX_SAFE_INTEGER ? ms + 0 : null
}

function statusOf(f: Fields, line: Line): number | null {
  const kind = f.kind(KONG.status)
  if (kind === ABSENT || kind === NULL) return null
  if (kind !== NUMBER) return line.nothing('wrong-type', 'response.status', f.value(KONG.status))
  const status = f.number(KONG.status)
  if (Number.isInteger(status) && status >= 0 && status <= 999) return status + 0
  return line.nothing('bad-number', 'response.status', status)
}

/** A size in bytes; a text that is no number (`""`, `"-"`) means that nginx had none. */
function bytesOf(f: Fields, slot: number, field: string, line: Line): number | null {
  const kind = f.kind(slot)
  if (kind !== NUMBER && kind !== TEXT) return null
  const text = kind === TEXT ? f.text(slot) : ''
  if (kind === TEXT && !/^-?\d{1,32}$/.test(text)) return null
  const bytes = kind === TEXT ? Number(text) : f.number(slot)
  if (Number.isSafeInteger(bytes) && bytes >= 0) return bytes + 0
  return line.nothing('bad-number', field, bytes)
}

function methodOf(f: Fields, line: Line, status: number | null): string {
  if (f.kind(KONG.method) === TEXT) {
    const method = f.known(KONG.method).text
    if (method !== '') return cutText(method, MAX_METHOD_CHARS)
  }
  if (status === null || status < 400) line.note('missing-field', 'request.method')
  return UNKNOWN_METHOD
}

interface Target {
  readonly path: string
  readonly route: string
  readonly objectIds: readonly string[]
}

function targetOf(f: Fields, line: Line, status: number | null): Target {
  if (f.kind(KONG.uri) !== TEXT) {
    if (status === null || status < 400) line.note('missing-field', 'request.uri')
    return { path: '', route: UNKNOWN_ROUTE, objectIds: [] }
  }
  const path = withoutTokens(f.textBeforeQuery(KONG.uri, MAX_PATH_CHARS))
  const { route, objectIds } = templateOf(path)
  const query = f.query(KONG.uri, MAX_QUERY_CHARS)
  const named = query === '' ? [] : objectIdsInQuery(query)
  return { path, route, objectIds: named.length === 0 ? objectIds : [...objectIds, ...named] }
}

/** A header that was sent twice is logged as an array; the first counts. */
function userAgentOf(f: Fields): string | null {
  const kind = f.kind(KONG.userAgent)
  if (kind === TEXT) {
    const known = f.known(KONG.userAgent)
    known.agent ??= withoutTokens(cutText(known.text, MAX_USER_AGENT_CHARS))
    return known.agent
  }
  if (kind !== ARRAY) return null
  const list = f.value(KONG.userAgent)
  const first: unknown = Array.isArray(list) ? list[0] : null
  return typeof first === 'string' ? withoutTokens(cutText(wellFormed(first), MAX_USER_AGENT_CHARS)) : null
}

function recordsOf(
  f: Fields,
  plan: KongPlan,
  settings: SourceSettings,
  responseBytes: number | null,
  status: number | null,
): RecordsCount {
  for (const slot of plan.recordHeaders) {
    const kind = f.kind(slot)
    if (kind === ABSENT) continue
    const records = kind === TEXT ? statedCount(f.known(slot)) : countOf(f.value(slot))
    if (records !== null) return { records, recordsFrom: 'header' }
  }
  if (settings.records.contentRange && f.kind(KONG.contentRange) !== ABSENT) {
    const records = contentRangeCount(f.value(KONG.contentRange))
    if (records !== null) return { records, recordsFrom: 'header' }
  }
  if (plan.recordField >= 0 && f.kind(plan.recordField) !== ABSENT) {
    const records = countOf(f.value(plan.recordField))
    if (records !== null) return { records, recordsFrom: 'field' }
  }
  return estimatedCount(responseBytes, status, settings.records.bytesPerRecord)
}

function statedCount(known: KnownText): number | null {
  if (known.count === undefined) known.count = countOf(known.text)
  return known.count
}

/**
 * Kong states by `source` (3.6 and later) whether the upstream answered. Before that, a refusal without an
 * upstream latency or without tries was Kong's own. Our own mark counts only where Kong itself answered,
 * or an upstream could have its refusals ignored.
 */
function refusedBy(f: Fields, status: number | null): RefusedBy {
  if (status === null || status < 400) return null
  const stated = f.kind(KONG.source) === TEXT
  const source = stated ? f.known(KONG.source).text : ''
  const notProxied =
    f.kind(KONG.tries) === ABSENT ||
    (f.kind(KONG.proxyLatency) === NUMBER && f.number(KONG.proxyLatency) === -1)
  const byGateway = stated ? source !== 'upstream' && source !== 'service' : notProxied && status < 500
  if (byGateway) {
    const ours = f.kind(KONG.ownDecision) !== ABSENT && (status === 401 || status === 403 || status === 429)
    return ours ? 'curfew' : 'gateway'
  }
  return status === 401 || status === 403 || status === 404 || status === 429 ? 'upstream' : null
}
