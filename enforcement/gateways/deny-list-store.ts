import type { Scope } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'
import type { Principal } from '../../core/event.ts'
import { wallTime } from '../../core/time.ts'
import type { Rule } from '../gateway.ts'

/** Where the deny list is kept, so that several endpoints share it and it outlives each of them. */
export interface DenyStore {
  /** Every rule; throws when unsure, never fewer rules than there are. */
  load(stop: AbortSignal): Promise<readonly Rule[]>
  put(rule: Rule, stop: AbortSignal): Promise<void>
  remove(id: string, stop: AbortSignal): Promise<void>
  /** Cheap reachability question. */
  check(stop: AbortSignal): Promise<void>
  /** Tells of changes as they happen, where the store can; returns how to stop listening. */
  watch?(changed: () => void): () => void
}

/** Keeps the deny list in this process: for embedded use, and for tests. */
export class MemoryDenyStore implements DenyStore {
  private readonly rules = new Map<string, Rule>()
  private readonly listeners = new Set<() => void>()

  async load(): Promise<readonly Rule[]> {
    return [...this.rules.values()]
  }

  async put(rule: Rule): Promise<void> {
    this.rules.set(rule.id, rule)
    for (const changed of this.listeners) changed()
  }

  async remove(id: string): Promise<void> {
    this.rules.delete(id)
    for (const changed of this.listeners) changed()
  }

  async check(): Promise<void> {
    await Promise.resolve()
  }

  watch(changed: () => void): () => void {
    this.listeners.add(changed)
    return () => this.listeners.delete(changed)
  }
}

/** The little that the deny list needs of a shared store: one map of text by text, such as a Redis hash. */
export interface TextMap {
  entries(stop: AbortSignal): Promise<Iterable<readonly [string, string]>>
  set(field: string, text: string, stop: AbortSignal): Promise<void>
  delete(field: string, stop: AbortSignal): Promise<void>
  ping(stop: AbortSignal): Promise<void>
}

/** Keeps the deny list in a shared map, one field per decision id. A text is read once however often it is loaded. */
export function textMapDenyStore(map: TextMap): DenyStore {
  let read = new Map<string, { readonly text: string; readonly rule: Rule }>()
  return {
    load: async (stop) => {
      const now = new Map<string, { readonly text: string; readonly rule: Rule }>()
      for (const [id, text] of await map.entries(stop)) {
        const before = read.get(id)
        now.set(id, before?.text === text ? before : { text, rule: parseRule(id, text) })
      }
      read = now
      return Array.from(now.values(), ({ rule }) => rule)
    },
    put: (rule, stop) => map.set(rule.id, JSON.stringify({ layout: 1, ...rule }), stop),
    remove: (id, stop) => map.delete(id, stop),
    check: (stop) => map.ping(stop),
  }
}

const ACTIONS: readonly string[] = ['throttle', 'block', 'revoke-token', 'revoke-credential']
const PRINCIPAL_KINDS: readonly string[] = ['consumer', 'sub', 'app', 'key', 'account', 'ip']

/** Reads a stored rule; throws `STORE_CORRUPT` or `STORE_NEWER_LAYOUT`, naming the field at fault. */
export function parseRule(id: string, text: string): Rule {
  const corrupt = (field: string): CurfewError =>
    new CurfewError(
      'STORE_CORRUPT',
      `deny list entry ${JSON.stringify(id.slice(0, 80))}: ${field} is not readable`,
    )
  let stored: unknown
  try {
    stored = JSON.parse(text)
  } catch (cause) {
    throw new CurfewError('STORE_CORRUPT', `deny list entry ${JSON.stringify(id.slice(0, 80))} is not JSON`, {
      cause,
    })
  }
  if (!isRecord(stored)) throw corrupt('the entry')
  if (typeof stored.layout !== 'number' || stored.layout > 1) {
    throw new CurfewError(
      'STORE_NEWER_LAYOUT',
      `deny list entry has layout ${String(stored.layout)}, this build reads 1`,
    )
  }
  if (stored.id !== id) throw corrupt('id')
  const { action, until } = stored
  if (!isAction(action)) throw corrupt('action')
  if (!isNumber(until)) throw corrupt('until')
  const scope = parseScope(stored.scope)
  if (scope === null) throw corrupt('scope')
  const holder = parseHolder(stored.holder)
  if (holder === null) throw corrupt('holder')
  const limit = stored.limit
  if (limit === null) return { id, action, scope, limit, until: wallTime(until), ...holder }
  if (!isRecord(limit) || !isNumber(limit.requests) || !isNumber(limit.windowSeconds)) throw corrupt('limit')
  const { requests, windowSeconds } = limit
  return { id, action, scope, limit: { requests, windowSeconds }, until: wallTime(until), ...holder }
}

function parseHolder(value: unknown): Pick<Rule, 'holder'> | null {
  if (value === undefined) return {}
  if (!isRecord(value) || !isPrincipalKind(value.kind) || typeof value.id !== 'string') return null
  return { holder: { kind: value.kind, id: value.id } }
}

/** Reads a scope; null for what is none. */
export function parseScope(value: unknown): Scope | null {
  if (!isRecord(value)) return null
  const { kind, iss, jti, sub, iat, notBefore, credential } = value
  const issuer = iss === null || typeof iss === 'string' ? iss : undefined
  const principal = parsePrincipal(value.principal)
  if (kind === 'principal') return principal && { kind, principal }
  if (kind === 'network')
    return principal && typeof value.network === 'string' ? { kind, network: value.network, principal } : null
  if (kind === 'credential')
    return principal && typeof credential === 'string' ? { kind, credential, principal } : null
  if (issuer === undefined) return null
  if (kind === 'token') return typeof jti === 'string' ? { kind, iss: issuer, jti } : null
  if (typeof sub !== 'string') return null
  if (kind === 'token-issue') return isNumber(iat) ? { kind, iss: issuer, sub, iat } : null
  if (kind !== 'subject' || !(notBefore === null || isNumber(notBefore))) return null
  return { kind, iss: issuer, sub, notBefore }
}

/** Reads a principal; null for what is none. */
export function parsePrincipal(value: unknown): Principal | null {
  if (!isRecord(value)) return null
  const { kind, id, label, verified } = value
  if (!isPrincipalKind(kind) || typeof id !== 'string' || typeof label !== 'string') return null
  return { kind, id, label, verified: verified === true }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value)
}

function isAction(value: unknown): value is Rule['action'] {
  return typeof value === 'string' && ACTIONS.includes(value)
}

function isPrincipalKind(value: unknown): value is Principal['kind'] {
  return typeof value === 'string' && PRINCIPAL_KINDS.includes(value)
}
