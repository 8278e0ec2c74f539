import type { AccessEvent, Principal, RecordsFrom, RefusedBy, Token } from '../../core/event.ts'
import { addressOf } from '../principal-address.ts'
import { verifiedPrincipal } from '../principal-name.ts'
import { countOf, estimatedCount, type RecordsCount } from '../records-count.ts'
import { objectIdsInQuery, templateOf } from '../route-template.ts'
import { isToken, withoutTokens } from '../scrub.ts'
import { CANONICAL as C, type CanonicalPlan, canonicalPlan } from './canonical-fields.ts'
import { readTime } from './iso-or-millis.ts'
import { ABSENT, type Fields, NO_TEXTS } from './json-fields.ts'
import { type EventReader, jsonFormat } from './json-format.ts'
import { MAX_PATH_CHARS, MAX_USER_AGENT_CHARS, positionId, UNAUTHENTICATED } from './kong.ts'
import type { Line } from './line.ts'
import { TypedFields } from './typed-fields.ts'

export const PRINCIPAL_KINDS: readonly Principal['kind'][] = [
  'consumer',
  'sub',
  'app',
  'key',
  'account',
  'ip',
]
export const RECORDS_FROM: readonly RecordsFrom[] = ['header', 'field', 'estimate', 'none']
export const REFUSERS: readonly Exclude<RefusedBy, null>[] = ['gateway', 'upstream', 'curfew']

const MAX_ID_CHARS = 256
const MAX_NAME_CHARS = 1_024
const MAX_METHOD_CHARS = 32
const MAX_ITEMS = 512
const MAX_SCOPES = 64
const MAX_RECORDS = 1_000_000_000
const MAX_AMOUNT = Number.MAX_SAFE_INTEGER

/**
 * Curfew's own event format, for producers that write it themselves. Members of a wrong type reject the
 * line; unknown members are ignored, and so are `tenant`, `gateway` and `source`: the configuration of the
 * source decides those.
 */
export const canonicalReader: EventReader<CanonicalPlan> = {
  name: 'canonical',
  plan: canonicalPlan,
  read: readCanonical,
}

export const canonical = jsonFormat(canonicalReader)

function readCanonical(f: Fields, plan: CanonicalPlan, line: Line): AccessEvent | null {
  const t = new TypedFields(f, plan.shape.nodes, line)
  line.readAddress(f, C.clientIp)
  if (line.address === null && t.states(C.clientIp)) t.wrongType(C.clientIp)
  const time = readTime(f, C.time, 'time', line)
  const tenant = line.tenant(f, plan.tenant)
  const status = t.amount(C.status, 999)
  const refusedBy = t.oneOf(C.refusedBy, REFUSERS)
  const turnedAway = refusedBy === 'gateway' && status === UNAUTHENTICATED
  const principal = principalOf(f, t, line, turnedAway)
  const target = targetOf(f, t, line)
  const responseBytes = t.amount(C.responseBytes, MAX_AMOUNT)
  const { records, recordsFrom } = recordsOf(f, t, plan, line, responseBytes, status)
  const believed = line.believesNames
  const verified = believed && principal?.verified === true
  const id = t.text(C.id, MAX_ID_CHARS)
  const parents = believed ? (t.texts(C.parents, 16, MAX_ID_CHARS) ?? NO_TEXTS) : NO_TEXTS
  const token = verified ? tokenOf(f, t, line) : null
  const credential = verified ? credentialOf(t) : null
  const userAgent = t.repeated(C.userAgent, MAX_USER_AGENT_CHARS)
  const latencyMs = t.amount(C.latencyMs, MAX_AMOUNT, true)
  const requestBytes = t.amount(C.requestBytes, MAX_AMOUNT)
  if (t.failed || time === null || tenant === null || principal === null || target === null) return null
  if (line.salvaged && status === null) return null
  const { topic, partition, offset } = line.record
  return {
    id: id === null || id === '' ? positionId(line) : id,
    time,
    receivedAt: line.record.receivedAt,
    tenant,
    principal,
    parents,
    token,
    credential,
    clientIp: line.address?.ip ?? null,
    userAgent: userAgent === null ? null : withoutTokens(userAgent),
    method: target.method,
    route: target.route,
    path: target.path,
    objectIds: target.objectIds,
    status,
    latencyMs,
    requestBytes,
    responseBytes,
    records,
    recordsFrom,
    refusedBy,
    gateway: line.gateway(f, plan.gateway),
    source: { topic, partition, offset, index: line.index },
  }
}

/**
 * The stated principal where the producer vouches for it; the address of the call otherwise, and where the
 * gateway turned the call away as unauthenticated.
 */
function principalOf(f: Fields, t: TypedFields, line: Line, turnedAway: boolean): Principal | null {
  if (!line.believesNames) return line.addressPrincipal()
  if (!t.object(C.principal)) {
    if (line.salvaged && line.address !== null) return line.address.principal
    return t.failed ? null : t.missing(C.principal)
  }
  const kind = t.oneOf(C.kind, PRINCIPAL_KINDS)
  const id = t.repeated(C.principalId, MAX_NAME_CHARS)
  const label = t.repeated(C.label, MAX_NAME_CHARS)
  const verified = t.flag(C.verified, true)
  if (t.failed) return null
  if (kind === null) return t.missing(C.kind)
  if (id === null || id === '') return t.missing(C.principalId)
  if (kind === 'ip')
    return (
      addressOf(id)?.principal ?? addressOf(id.replace(/\/64$/, ''))?.principal ?? t.wrongType(C.principalId)
    )
  const known = line.knownName(f, C.principalId)
  if (!verified || known === null || turnedAway) return line.addressPrincipal()
  const name = label === null || label === '' || isToken(label) ? id : label
  if (known.principal?.kind !== kind || known.principal.label !== name) {
    known.principal = verifiedPrincipal(kind, known.text, name)
  }
  return known.principal
}

function credentialOf(t: TypedFields): string | null {
  const credential = t.repeated(C.credential, MAX_NAME_CHARS)
  return credential === null || isToken(credential) ? null : credential
}

function tokenOf(f: Fields, t: TypedFields, line: Line): Token | null {
  if (!t.object(C.token)) return null
  const scopes = t.texts(C.scopes, MAX_SCOPES, 128) ?? NO_TEXTS
  t.text(C.iss, 1)
  t.text(C.sub, 1)
  t.text(C.jti, 1)
  return {
    iss: line.name(f, C.iss),
    sub: line.name(f, C.sub),
    jti: line.name(f, C.jti),
    iat: t.amount(C.iat, MAX_AMOUNT),
    exp: t.amount(C.exp, MAX_AMOUNT),
    scopes,
  }
}

type Target = Pick<AccessEvent, 'method' | 'path' | 'route' | 'objectIds'>

function targetOf(f: Fields, t: TypedFields, line: Line): Target | null {
  const method = t.repeated(C.method, MAX_METHOD_CHARS)
  const stated =
    t.text(C.path, MAX_PATH_CHARS) === null ? null : withoutTokens(f.textBeforeQuery(C.path, MAX_PATH_CHARS))
  const route = t.repeated(C.route, MAX_PATH_CHARS)
  const named = t.texts(C.objectIds, MAX_ITEMS, MAX_ID_CHARS)
  if (t.failed) return null
  const damaged = line.salvaged || !line.believesNames
  if ((method === null || method === '') && !damaged) return t.missing(C.method)
  if (stated === null && !route && !damaged) return t.missing(C.path)
  const path = stated ?? route ?? ''
  const template = templateOf(path)
  const query = stated === null ? '' : f.query(C.path, MAX_PATH_CHARS)
  return {
    method: method || 'UNKNOWN',
    path,
    route: route || (stated === null ? '{unknown}' : template.route),
    objectIds:
      named ?? (query === '' ? template.objectIds : [...template.objectIds, ...objectIdsInQuery(query)]),
  }
}

function recordsOf(
  f: Fields,
  t: TypedFields,
  plan: CanonicalPlan,
  line: Line,
  responseBytes: number | null,
  status: number | null,
): RecordsCount {
  const records = t.amount(C.records, MAX_RECORDS)
  const from = t.oneOf(C.recordsFrom, RECORDS_FROM)
  if (records !== null) return { records, recordsFrom: from === null || from === 'none' ? 'field' : from }
  if (plan.recordField >= 0 && f.kind(plan.recordField) !== ABSENT) {
    const counted = countOf(f.value(plan.recordField))
    if (counted !== null) return { records: counted, recordsFrom: 'field' }
  }
  return estimatedCount(responseBytes, status, line.settings.records.bytesPerRecord)
}
