import type { AccessEvent, Principal, Token } from '../core/event.ts'
import { keyedHash } from '../core/hash.ts'
import { replaceEmails } from './email-address.ts'
import { unescaped } from './scrub.ts'

/**
 * The event with a keyed hash in place of every e-mail address in what names its caller, its objects or where it
 * comes from: the same address is the same caller, and nobody without the key can tell whose. A gateway does not
 * know the hash, so it cannot hold a rule that names this caller; one that names a token by `jti` works, unless the
 * token's issuer or its `jti` is an address. What callers write besides (path, agent) is not kept anyway.
 */
export function withHashedEmails(event: AccessEvent, key: Uint8Array): AccessEvent {
  const hashed = (text: string) => hashEmails(text, key)
  return {
    ...event,
    id: hashed(event.id),
    tenant: hashed(event.tenant),
    principal: namedBy(event.principal, hashed),
    parents: event.parents.map(hashed),
    token: event.token === null ? null : tokenNamedBy(event.token, hashed),
    credential: event.credential === null ? null : hashed(event.credential),
    objectIds: event.objectIds.map(hashed),
    gateway: { ...event.gateway, id: hashed(event.gateway.id) },
  }
}

/** The text with a keyed hash in place of every e-mail address in it; however it is spelt, the same one. */
export function hashEmails(text: string, key: Uint8Array): string {
  return replaceEmails(text, (email) => `mail-${keyedHash(key, plain(email)).slice(0, 16)}`)
}

function namedBy(principal: Principal, hashed: (text: string) => string): Principal {
  const { id, label } = principal
  return { ...principal, id: hashed(id), label: hashed(label) }
}

function tokenNamedBy(token: Token, hashed: (text: string) => string): Token {
  const { iss, sub, jti, scopes } = token
  return {
    ...token,
    iss: iss === null ? null : hashed(iss),
    sub: sub === null ? null : hashed(sub),
    jti: jti === null ? null : hashed(jti),
    scopes: scopes.map(hashed),
  }
}

/** An address without what does not tell it from another: case, escapes, width, invisible characters, quoting. */
function plain(email: string): string {
  return unescaped(email)
    .normalize('NFKC')
    .replace(/\p{Cf}|\\(?=")/gu, '')
    .toLowerCase()
}
