import type { AccessEvent, RefusedBy } from '../../core/event.ts'
import { type EventTimeMs, eventTime } from '../../core/time.ts'
import { addressOf } from '../principal-address.ts'
import { contentRangeCount, countOf, estimatedCount, type RecordsCount } from '../records-count.ts'
import { objectIdsInQuery, templateOf } from '../route-template.ts'
import { cutText, withoutTokens } from '../scrub.ts'
import { timeIsPlausible } from './event-time.ts'
import { type GatewayPlan, type Mapping, planOf, type StatedTarget } from './gateway-mapping.ts'
import { addressIdentity, type Identity, identityOf } from './gateway-names.ts'
import { ABSENT, afterQuery, beforeQuery, type Fields, OBJECT } from './json-fields.ts'
import { type EventReader, jsonFormat } from './json-format.ts'
import { MAX_PATH_CHARS, MAX_USER_AGENT_CHARS, positionId, UNAUTHENTICATED } from './kong.ts'
import type { Line } from './line.ts'
import { Members } from './members.ts'
import { momentOf } from './moment.ts'

const MAX_REQUEST_ID_CHARS = 128
const MAX_METHOD_CHARS = 32
const UNKNOWN_METHOD = 'UNKNOWN'
const UNKNOWN_ROUTE = '{unknown}'
/** The gateway's own templates, such as `/v1/orders/{orderId}`. One that swallows the rest says nothing. */
const TEMPLATE = /^\/[^\s?#]{0,1023}$/

const WITH_PORT = /^\[?([\da-fA-F:.]{2,45})\]?:\d{1,5}$/

/** The reader of a mapping; what a field means is written once for all gateways. */
export function gatewayReader(mapping: Mapping): EventReader<GatewayPlan> {
  const { open } = mapping
  return {
    name: mapping.name,
    plan: (settings) => planOf(mapping, settings),
    read: (f, plan, line) => readCall(mapping, f, plan, line),
    ...(open === undefined ? {} : { open }),
  }
}

/** The format of a mapping. */
export function gatewayFormat(mapping: Mapping) {
  return jsonFormat(gatewayReader(mapping))
}

function readCall(mapping: Mapping, f: Fields, plan: GatewayPlan, line: Line): AccessEvent | null {
  const m = membersOf(mapping, f, plan, line)
  readAddress(f, m, line)
  if (mapping.isCall?.(m) === false) return line.nothing('unknown-format', 'no API call')
  const latencyMs = durationOf(mapping, m)
  const time = completionOf(mapping, m, line, latencyMs)
  const tenant = line.tenant(f, plan.tenant)
  const status = mapping.status === undefined ? statusOf(m, line) : mapping.status(m)
  const refusedBy = mapping.refusedBy(m, status)
  const { principal, parents, token, credential } = whoCalled(mapping, m, line, status, refusedBy)
  if (time === null || tenant === null || principal === null || (line.salvaged && status === null))
    return null
  const target = targetOf(mapping, m, line, status)
  const responseBytes = bytesOf(m, 'responseBytes', line)
  const requestBytes = bytesOf(m, 'requestBytes', line)
  const { topic, partition, offset } = line.record
  return {
    id: idOf(m, line),
    time,
    receivedAt: line.record.receivedAt,
    tenant,
    principal,
    parents,
    token,
    credential,
    clientIp: line.address?.ip ?? null,
    userAgent: agentOf(m),
    ...target,
    status,
    latencyMs,
    requestBytes,
    responseBytes,
    ...recordsOf(f, plan, m, line, responseBytes, status),
    refusedBy,
    gateway: line.gateway(f, plan.gateway),
    source: { topic, partition, offset, index: line.index },
  }
}

/**
 * The members where they stand. An object that holds them inside a line that has them at the top as well can
 * only have come through a text that nobody escaped.
 */
function membersOf(mapping: Mapping, f: Fields, plan: GatewayPlan, line: Line): Members {
  const top = new Members(f, plan.top, mapping.members, line)
  if (plan.inner === null || mapping.inside === undefined || f.kind(plan.inside) !== OBJECT) return top
  if (!mapping.sealedBy.some((name) => top.isWritten(name)))
    return new Members(f, plan.inner, mapping.members, line)
  line.duplicates = [...line.duplicates, mapping.inside]
  line.note('duplicate-key', mapping.inside)
  return top
}

function whoCalled(
  mapping: Mapping,
  m: Members,
  line: Line,
  status: number | null,
  refusedBy: RefusedBy,
): Identity {
  const turnedAway = refusedBy === 'gateway' && status === UNAUTHENTICATED
  const isSealed = mapping.sealedBy.every((name) => m.isWritten(name))
  const names = turnedAway || !isSealed || !line.believesNames ? null : mapping.names(m)
  return names === null ? addressIdentity(line) : identityOf(names, line.settings.principal, line)
}

/** The client's address, also where its port stands behind it. */
function readAddress(f: Fields, m: Members, line: Line): void {
  const member = m.states('clientIp') ? 'clientIp' : 'spareIp'
  if (!m.states(member)) return
  line.readAddress(f, m.slot(member))
  if (line.address !== null) return
  const host = WITH_PORT.exec(m.text(member) ?? '')?.[1]
  if (host !== undefined) line.address = addressOf(host)
}

function durationOf(mapping: Mapping, m: Members): number | null {
  const value = m.number('duration') ?? spanOf(m)
  if (value === null || !(value >= 0) || value > Number.MAX_SAFE_INTEGER) return null
  return Math.round(value * mapping.durationUnitMs * 1_000) / 1_000
}

/** From start to completion, where the log states both. */
function spanOf(m: Members): number | null {
  if (!m.states('end') || !m.states('time')) return null
  return momentOf(m.value('end')) - momentOf(m.value('time'))
}

/** When the call was over: stated, or start plus duration; the receipt where the line states it twice or was cut. */
function completionOf(
  mapping: Mapping,
  m: Members,
  line: Line,
  latencyMs: number | null,
): EventTimeMs | null {
  const { receivedAt } = line.record
  const stated = m.states('end') ? 'end' : 'time'
  const path = mapping.members[stated] ?? stated
  const twice = line.duplicates.includes(path) || line.duplicates.includes(`${mapping.inside}.${path}`)
  if ((twice || (line.salvaged && !m.isWritten(stated))) && Number.isFinite(receivedAt))
    return eventTime(receivedAt)
  if (!m.states(stated)) return line.nothing('missing-field', path)
  const value = m.value(stated)
  const moment = momentOf(value)
  if (!Number.isFinite(moment)) return line.nothing('bad-time', path, value)
  const isEnd = stated === 'end' || mapping.timeIs === 'end'
  const time = Math.round(isEnd ? moment : moment + (latencyMs ?? 0))
  return timeIsPlausible(time, receivedAt) ? eventTime(time) : line.nothing('time-out-of-bounds', path, value)
}

function statusOf(m: Members, line: Line): number | null {
  const status = m.number('status')
  if (status === null) return null
  if (Number.isInteger(status) && status >= 0 && status <= 999) return status
  return line.nothing(Number.isNaN(status) ? 'wrong-type' : 'bad-number', 'status', m.value('status'))
}

function bytesOf(m: Members, name: string, line: Line): number | null {
  const bytes = m.number(name)
  if (bytes === null || Number.isNaN(bytes)) return null
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : line.nothing('bad-number', name, bytes)
}

function idOf(m: Members, line: Line): string {
  const id = m.text('id') ?? m.text('spareId')
  return id === null ? positionId(line) : cutText(id, MAX_REQUEST_ID_CHARS)
}

function agentOf(m: Members): string | null {
  const known = m.known('userAgent')
  if (known !== null) {
    known.agent ??= withoutTokens(cutText(known.text, MAX_USER_AGENT_CHARS))
    return known.agent
  }
  const first = m.text('userAgent')
  return first === null ? null : withoutTokens(cutText(first, MAX_USER_AGENT_CHARS))
}

type Target = Pick<AccessEvent, 'method' | 'path' | 'route' | 'objectIds'>

/** A request line may be too broken for the gateway to know method and path; then it was refused. */
function targetOf(mapping: Mapping, m: Members, line: Line, status: number | null): Target {
  const stated = mapping.target === undefined ? plainTarget(m) : mapping.target(m)
  const lacks = (name: string) => {
    if ((status === null || status < 400) && !line.salvaged && line.believesNames)
      line.note('missing-field', mapping.members[name] ?? name)
  }
  if (stated.method === null) lacks('method')
  const method = stated.method === null ? UNKNOWN_METHOD : cutText(stated.method, MAX_METHOD_CHARS)
  const { uri } = stated
  const route = usableTemplate(stated.route)
  if (uri === null) {
    if (route === null) lacks('uri')
    return { method, path: route ?? '', route: route ?? UNKNOWN_ROUTE, objectIds: stated.objectIds ?? [] }
  }
  const path = withoutTokens(beforeQuery(uri, MAX_PATH_CHARS))
  const template = templateOf(path)
  const query = afterQuery(uri, MAX_PATH_CHARS)
  const inQuery = query === '' ? [] : objectIdsInQuery(query)
  const objectIds =
    stated.objectIds ?? (inQuery.length === 0 ? template.objectIds : [...template.objectIds, ...inQuery])
  return { method, path, route: route ?? template.route, objectIds }
}

function plainTarget(m: Members): StatedTarget {
  const uri = m.text('uri')
  const query = m.text('query')
  return {
    method: m.text('method'),
    uri: uri === null || query === null || uri.includes('?') ? uri : `${uri}?${query}`,
    route: m.text('route'),
  }
}

function usableTemplate(route: string | null): string | null {
  return route !== null && TEMPLATE.test(route) && !route.includes('+}') && !route.includes('*')
    ? route
    : null
}

function recordsOf(
  f: Fields,
  plan: GatewayPlan,
  m: Members,
  line: Line,
  responseBytes: number | null,
  status: number | null,
): RecordsCount {
  for (const slot of plan.recordHeaders) {
    const records = f.kind(slot) === ABSENT ? null : countOf(f.value(slot))
    if (records !== null) return { records, recordsFrom: 'header' }
  }
  const inHeader = m.states('records') ? countOf(m.value('records')) : null
  if (inHeader !== null) return { records: inHeader, recordsFrom: 'header' }
  if (plan.contentRange >= 0 && f.kind(plan.contentRange) !== ABSENT) {
    const records = contentRangeCount(f.value(plan.contentRange))
    if (records !== null) return { records, recordsFrom: 'header' }
  }
  if (plan.recordField >= 0 && f.kind(plan.recordField) !== ABSENT) {
    const records = countOf(f.value(plan.recordField))
    if (records !== null) return { records, recordsFrom: 'field' }
  }
  return estimatedCount(responseBytes, status, line.settings.records.bytesPerRecord)
}

/** Who refused, when the gateway's own refusals are known; our own mark counts only on those. */
export function refusal(status: number | null, byGateway: boolean, ownMark: boolean): RefusedBy {
  if (status === null || status < 400) return null
  if (byGateway) return ownMark && (status === 401 || status === 403 || status === 429) ? 'curfew' : 'gateway'
  return status === 401 || status === 403 || status === 404 || status === 429 ? 'upstream' : null
}
