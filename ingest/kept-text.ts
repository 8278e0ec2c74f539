import type { AccessEvent } from '../core/event.ts'
import { hashOf } from '../core/hash.ts'
import { isToken, looksSecret, scrubText, unescaped } from './scrub.ts'

const MAX_TEXTS = 4_096
/** What request ids look like that gateways make: digits, hexadecimal, UUIDs, positions. */
const REQUEST_ID = /^[0-9a-f-]{1,64}$|^[\w.:-]{1,249}\/\d{1,10}\/\d{1,16}\/\d{1,10}$/
const METHOD = /^[A-Za-z-]{1,32}$/
const cleaned = new Map<string, string>()

/**
 * The event as it may be stored: texts that callers write (path, user agent, request id, objects) without what
 * looks like a token, a key or an e-mail address. Objects and request ids keep their identity as a hash. Names
 * of callers are left alone: they are what the gateway verified.
 */
export function withoutSecrets(event: AccessEvent): AccessEvent {
  const { id, path, route, userAgent, objectIds, method, parents, token } = event
  const kept = {
    id: REQUEST_ID.test(id) ? id : hidden(id),
    path: safePath(path),
    route: scrubbed(route),
    userAgent: userAgent === null ? null : scrubbed(userAgent),
    method: METHOD.test(method) ? method : 'OTHER',
    objectIds: objectIds.some(looksSecret)
      ? objectIds.map((object) => (looksSecret(object) ? hidden(object) : object))
      : objectIds,
    parents: parents.some(isToken) ? parents.filter((parent) => !isToken(parent)) : parents,
    token: token?.scopes.some(looksSecret)
      ? { ...token, scopes: token.scopes.filter((scope) => !looksSecret(scope)) }
      : token,
  }
  const isClean =
    kept.id === id &&
    kept.path === path &&
    kept.route === route &&
    kept.userAgent === userAgent &&
    kept.method === method &&
    kept.objectIds === objectIds &&
    kept.parents === parents &&
    kept.token === token
  // Most calls need no copy.
  return isClean ? event : { ...event, ...kept }
}

function hidden(text: string): string {
  return `sha256-${hashOf(text).slice(0, 32)}`
}

/** Escapes may spell anything, so what is shown of such a segment is what it says. */
function safePath(path: string): string {
  if (!/[%@=;:]|[^/]{16,}/.test(path)) return path
  return path
    .split('/')
    .map((segment) => (looksSecret(segment) || looksSecret(unescaped(segment)) ? '{hidden}' : segment))
    .join('/')
}

/** {@link scrubText}, remembered: agents and routes come again and again. */
function scrubbed(text: string): string {
  const known = cleaned.get(text)
  if (known !== undefined) return known
  if (cleaned.size >= MAX_TEXTS) cleaned.clear()
  const safe = scrubText(text)
  cleaned.set(text, safe)
  return safe
}
