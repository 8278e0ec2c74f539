import { createHash } from 'node:crypto'
import { CurfewError } from '../core/errors.ts'
import { secretsEqual } from '../core/hash.ts'
import type { Actor } from '../engine/control-plane.ts'

export type Role = Actor['role']

/** Every role may do what the roles before it may. */
export const ROLES: readonly Role[] = ['viewer', 'responder', 'tuner', 'admin']

/** What a route asks of its caller; `public` routes are the only ones that need no token. */
export type RouteRole = Role | 'public'

/** A bearer token as it is configured: only its hash is known here. */
export interface TokenEntry {
  /** Who holds it; written into the audit. */
  readonly name: string
  readonly role: Role
  /** SHA-256 of the token text, 64 hexadecimal digits. */
  readonly sha256: string
}

const MAX_TOKENS = 1_000
const MAX_TOKEN_LENGTH = 512
const TOKEN_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/
const BEARER = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i

export const LOOPBACK_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/** Whether a listening address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

export function roleAtLeast(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed)
}

/** Throws `CONFIG_INVALID` naming the entry at fault. */
export function checkTokens(tokens: readonly TokenEntry[]): void {
  const seen = new Set<string>()
  if (tokens.length > MAX_TOKENS) {
    throw new CurfewError('CONFIG_INVALID', `admin tokens: ${tokens.length} entries, at most ${MAX_TOKENS}`)
  }
  for (const [i, token] of tokens.entries()) {
    const at = `admin tokens[${i}]`
    if (!TOKEN_NAME.test(token.name)) {
      throw new CurfewError('CONFIG_INVALID', `${at}.name must match ${TOKEN_NAME.source}`)
    }
    if (seen.has(token.name)) {
      throw new CurfewError('CONFIG_INVALID', `${at}.name: "${token.name}" is used twice`)
    }
    seen.add(token.name)
    if (!ROLES.includes(token.role)) {
      throw new CurfewError('CONFIG_INVALID', `${at}.role must be one of ${ROLES.join(', ')}`)
    }
    if (!/^[0-9a-fA-F]{64}$/.test(token.sha256)) {
      throw new CurfewError('CONFIG_INVALID', `${at}.sha256 must be 64 hexadecimal digits`)
    }
  }
}

/**
 * Who an Authorization header stands for, or null. Every entry is compared, in constant time, so that the
 * duration tells nothing about which one was close (RFC 6750 bearer tokens).
 */
export function authenticate(header: string | undefined, tokens: readonly TokenEntry[]): Actor | null {
  const text = header === undefined || header.length > MAX_TOKEN_LENGTH + 7 ? null : BEARER.exec(header)?.[1]
  if (text === null || text === undefined) return null
  const digest = createHash('sha256').update(text).digest('hex')
  let found: Actor | null = null
  for (const token of tokens) {
    if (secretsEqual(digest, token.sha256.toLowerCase())) found = { name: token.name, role: token.role }
  }
  return found
}

/** Whether a Host header names us. An allowed host without a port stands for every port. */
export function hostAllowed(host: string | undefined, allowed: readonly string[]): boolean {
  if (host === undefined || host.length > 255) return false
  const name = host.toLowerCase()
  const bare = name.replace(/:\d{1,5}$/, '')
  return allowed.some((entry) => entry.toLowerCase() === name || entry.toLowerCase() === bare)
}

/**
 * Whether an Origin header, when a browser sent one, is our own page: scheme http(s) and the same host and
 * port as the Host header. Together with {@link hostAllowed} this stops DNS rebinding and foreign pages.
 */
export function originAllowed(origin: string | undefined, host: string): boolean {
  if (origin === undefined) return true
  const match = /^https?:\/\/([^/?#@\s]{1,255})$/i.exec(origin)
  return match?.[1]?.toLowerCase() === host.toLowerCase()
}
