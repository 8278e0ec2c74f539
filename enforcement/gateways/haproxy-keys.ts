import { createHash } from 'node:crypto'
import type { Limit, Scope } from '../../core/decision.ts'
import type { Principal } from '../../core/event.ts'
import { wallTime } from '../../core/time.ts'
import type { Rule } from '../gateway.ts'

/** The maps of samples/haproxy/curfew.cfg that hold rules. */
export const HAPROXY_MAPS = ['tokens', 'subjects', 'blocks', 'throttles'] as const
export type HaproxyMap = (typeof HAPROXY_MAPS)[number] | 'envelopes'

/** Where a rule stands in HAProxy and what stands there. */
export interface HaproxyEntry {
  readonly map: HaproxyMap
  readonly key: string
  readonly value: string
}

/** Our owner mark: the first field of every value that is ours. */
const MARK = 'curfew'
/** A value, key and command must fit one Runtime API buffer of 16 kB. */
const MAX_VALUE_LENGTH = 8_192
/** Windows of the stick tables in curfew.cfg, seconds. */
const WINDOWS = [10, 60, 3_600] as const
/** "Whenever issued": later than any `iat` that a token may carry until the year 2286. */
const EVERY_TOKEN = 9_999_999_999

/** HAProxy has hash converters but no JSON arrays, so keys nest hashes: parts cannot run into each other. */
function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}

/** Key of one token: issuer and `jti`. A missing issuer counts as the empty one. */
export function haproxyTokenKey(iss: string | null, jti: string): string {
  return sha256(`${sha256(iss ?? '')}.${sha256(jti)}`)
}

/** Key of all tokens of a subject. */
export function haproxySubjectKey(iss: string | null, sub: string): string {
  return sha256(`${sha256(iss ?? '')}.${sha256(sub)}`)
}

/** Key of what was issued to a subject at one second. */
export function haproxyIssueKey(iss: string | null, sub: string, iat: number): string {
  return sha256(`${sha256(iss ?? '')}.${sha256(sub)}.${Math.floor(iat)}`)
}

/** Key of what a subject does from one network, as HAProxy's `ipmask(24,64)` writes it. */
function haproxyNetworkKey(subjectKey: string, network: string): string {
  return sha256(`${subjectKey}.${sha256(network)}`)
}

/** Issuer and subject of a principal of kind `sub`, whose id is the JSON array of both or the bare subject. */
export function subjectOf(principal: Principal): { iss: string | null; sub: string } | null {
  if (principal.kind !== 'sub') return null
  let parsed: unknown
  try {
    parsed = JSON.parse(principal.id)
  } catch {
    return { iss: null, sub: principal.id }
  }
  if (!Array.isArray(parsed) || parsed.length !== 2) return { iss: null, sub: principal.id }
  const [iss, sub] = parsed as unknown[]
  if ((iss !== null && typeof iss !== 'string') || typeof sub !== 'string') {
    return { iss: null, sub: principal.id }
  }
  return { iss, sub }
}

/** One map per kind of action, so that a block and a revocation of the same subject stand side by side. */
const SUBJECT_MAPS: Readonly<Record<Rule['action'], HaproxyMap>> = {
  throttle: 'throttles',
  block: 'blocks',
  'revoke-token': 'subjects',
  'revoke-credential': 'subjects',
}

function placeOf(rule: Rule): { map: HaproxyMap; key: string; notBefore: number } | null {
  const scope = rule.scope
  switch (scope.kind) {
    case 'token':
      return { map: 'tokens', key: haproxyTokenKey(scope.iss, scope.jti), notBefore: 0 }
    case 'token-issue':
      return { map: 'tokens', key: haproxyIssueKey(scope.iss, scope.sub, scope.iat), notBefore: 0 }
    case 'subject': {
      // A counter cannot tell a subject's older tokens from its newer ones.
      if (rule.action === 'throttle' && scope.notBefore !== null) return null
      const notBefore = Math.ceil(scope.notBefore ?? EVERY_TOKEN)
      return { map: SUBJECT_MAPS[rule.action], key: haproxySubjectKey(scope.iss, scope.sub), notBefore }
    }
    case 'network': {
      const subject = subjectOf(scope.principal)
      if (subject === null || rule.action !== 'block') return null
      const key = haproxyNetworkKey(haproxySubjectKey(subject.iss, subject.sub), scope.network)
      return { map: 'blocks', key, notBefore: EVERY_TOKEN }
    }
    case 'principal': {
      const subject = subjectOf(scope.principal)
      if (subject === null) return null
      const key = haproxySubjectKey(subject.iss, subject.sub)
      return { map: SUBJECT_MAPS[rule.action], key, notBefore: EVERY_TOKEN }
    }
    case 'credential':
      return null
  }
}

/** The shortest table window that is not shorter than the limit's, with the limit scaled to it, rounded down. */
function tableLimit(limit: Limit): { requests: number; windowSeconds: number } {
  const windowSeconds = WINDOWS.find((w) => w >= limit.windowSeconds) ?? WINDOWS[WINDOWS.length - 1]!
  const requests = Math.floor((limit.requests * windowSeconds) / limit.windowSeconds)
  return { requests: Math.min(Math.max(requests, 0), 1_000_000_000), windowSeconds }
}

/**
 * How HAProxy holds a rule: `curfew.<until ms>.<a>.<b>.<rule>.<payload>`, only letters, digits, `.`, `_` and
 * `-`, so that no value can end a command. The payload is what the rule is listed from again. Null when the
 * rule names a caller that HAProxy does not know, or would be too long to hold.
 */
export function encodeRule(rule: Rule): HaproxyEntry | null {
  const place = placeOf(rule)
  if (place === null) return null
  let fields: readonly [number, number]
  if (place.map === 'throttles') {
    if (rule.limit === null) return null
    const limit = tableLimit(rule.limit)
    fields = [limit.requests, limit.windowSeconds]
  } else {
    fields = [place.notBefore, rule.action === 'block' ? 403 : 401]
  }
  const payload = JSON.stringify([rule.id, rule.action, rule.scope, rule.limit])
  const shown = rule.id.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64)
  const until = Math.floor(rule.until)
  const value = [MARK, until, ...fields, shown, Buffer.from(payload, 'utf8').toString('base64url')].join('.')
  return value.length > MAX_VALUE_LENGTH ? null : { map: place.map, key: place.key, value }
}

/** Whether a map value carries our owner mark. */
export function isOurs(value: string): boolean {
  return value.startsWith(`${MARK}.`)
}

/**
 * The rule that an entry was made from; null when it is not ours. An entry whose enforced part somebody
 * edited, or that stands at another key, is given as ended long ago, so that it is put again or removed.
 */
export function decodeRule(entry: HaproxyEntry): Rule | null {
  const fields = entry.value.split('.')
  if (fields.length !== 6 || fields[0] !== MARK) return null
  const until = Number(fields[1])
  const parts = payloadOf(fields[5] ?? '')
  if (parts === null || !Number.isSafeInteger(until)) return null
  const rule: Rule = { ...parts, until: wallTime(until) }
  const again = encodeRule(rule)
  const intact = again?.map === entry.map && again.key === entry.key && again.value === entry.value
  return intact ? rule : { ...rule, until: wallTime(0) }
}

function payloadOf(text: string): Omit<Rule, 'until'> | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch {
    return null
  }
  if (!Array.isArray(parsed) || parsed.length !== 4) return null
  const [id, action, scope, limit] = parsed as unknown[]
  if (typeof id !== 'string' || !isAction(action) || !isScope(scope) || !isLimit(limit)) return null
  return { id, action, scope, limit }
}

function isAction(value: unknown): value is Rule['action'] {
  return (
    value === 'throttle' || value === 'block' || value === 'revoke-token' || value === 'revoke-credential'
  )
}

function isLimit(value: unknown): value is Limit | null {
  if (value === null) return true
  const limit = value as Partial<Record<keyof Limit, unknown>>
  return (
    typeof value === 'object' && typeof limit.requests === 'number' && typeof limit.windowSeconds === 'number'
  )
}

function isScope(value: unknown): value is Scope {
  if (typeof value !== 'object' || value === null) return false
  const scope = value as Record<string, unknown>
  const issuer = scope.iss === null || typeof scope.iss === 'string'
  switch (scope.kind) {
    case 'token':
      return issuer && typeof scope.jti === 'string'
    case 'token-issue':
      return issuer && typeof scope.sub === 'string' && typeof scope.iat === 'number'
    case 'subject':
      return (
        issuer &&
        typeof scope.sub === 'string' &&
        (scope.notBefore === null || typeof scope.notBefore === 'number')
      )
    case 'network':
    case 'principal': {
      if (scope.kind === 'network' && typeof scope.network !== 'string') return false
      const principal = scope.principal as Record<string, unknown> | null
      return (
        typeof principal === 'object' &&
        principal !== null &&
        principal.kind === 'sub' &&
        typeof principal.id === 'string'
      )
    }
    default:
      return false
  }
}
