import { BoundedCache } from './bounded-cache.ts'
import { cutText, scrubText } from './scrub.ts'

/** Raised whenever a path would get another template: learnt routes of older versions are not mixed in. */
export const TEMPLATE_VERSION = 1

export interface RouteTemplate {
  readonly route: string
  /** What the variable segments named, in order; several for a list such as `1,2,3`. */
  readonly objectIds: readonly string[]
}

const MAX_SEGMENTS = 12
const MAX_SEGMENT_CHARS = 256
const MAX_OBJECT_IDS = 512
const MAX_OBJECT_ID_CHARS = 128
const MAX_CACHED_PATHS = 8_192
/** A power of two. */
const MAX_CACHED_ROUTES = 4_096
const MAX_CACHED_PATH_CHARS = 256
const MAX_QUERY_PAIRS = 512

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i
const DATE = /^\d{4}-\d{2}(?:-\d{2}(?:T[\d:.]{2,20}Z?)?)?$/
const EMAIL = /^[^@\s]{1,64}@[^@\s.]{1,63}(?:\.[^@\s.]{1,63})+$/
const VERSION = /^v\d{1,3}(?:\.\d{1,3}){0,2}$/i
const BASE64 = /^[A-Za-z0-9_+-]{16,}={0,2}$/
/** `42.json`, `42:cancel`: an id with an extension or a custom verb. */
const SUFFIXED = /^(.+?)([.:][A-Za-z]{1,24})$/
/** `ids=1,2,3` and other matrix-like parameters whose value is an id or a list of ids. */
const NAMED = /^([A-Za-z_][\w-]{0,31}=)(.+)$/
const ID_PARAMETER = /(?:^|[_.-])(?:id|ids|uuid|guid)(?:\[\])?$|[a-z](?:Id|Ids|ID|IDs|Uuid)(?:\[\])?$/

const cache = new BoundedCache<RouteTemplate>(MAX_CACHED_PATHS)
const NONE: readonly string[] = Object.freeze([])

/**
 * The route template of a path: `/v1/orders/42` becomes `/v1/orders/{id}` with object `42`. Variable are
 * numbers, UUIDs, ULIDs, hexadecimal and base64 text of 16 or more characters, dates, e-mail addresses and
 * words that consist of digits to a large part. A pure function of the path and {@link TEMPLATE_VERSION}.
 */
export function templateOf(path: string): RouteTemplate {
  return plainTemplate(path) ?? oddTemplate(path)
}

function oddTemplate(path: string): RouteTemplate {
  const known = cache.get(path)
  if (known !== undefined) return known
  const template = computeTemplate(path)
  if (path.length <= MAX_CACHED_PATH_CHARS) cache.set(path, template)
  return template
}

function computeTemplate(path: string): RouteTemplate {
  const ids: string[] = []
  const { segments, more } = segmentsOf(path)
  const parts = segments.map((segment) => templateSegment(segment, ids))
  if (more) parts.push('{more}')
  return { route: `/${parts.join('/')}`, objectIds: ids.length === 0 ? NONE : ids }
}

const SLASH = 47
const DIGIT = 1
const LETTER = 2
/** Characters of paths that need no second look. */
const PLAIN = Uint8Array.from({ length: 128 }, (_, c) => {
  const text = String.fromCharCode(c)
  if (/\d/.test(text)) return DIGIT
  return /[A-Za-z_-]/.test(text) ? LETTER : 0
})

/** Where the numbers of the path at hand begin and end, in turn. */
const numbers = new Int32Array(2 * MAX_SEGMENTS)
/** Routes by the hash of their text; those that collide displace each other. */
const routes: string[] = new Array<string>(MAX_CACHED_ROUTES).fill('')
const PLACEHOLDER = '{id}'

/**
 * The template of a path whose segments are either numbers or words with hardly a digit, as most are: the same
 * answer as the long way gives, in one pass. Null for any other path.
 */
function plainTemplate(path: string): RouteTemplate | null {
  const length = path.length
  if (length < 2 || length > MAX_SEGMENT_CHARS) return null
  let count = 0
  let segments = 0
  let hash = 0
  for (let p = 0; p < length; ) {
    if (path.charCodeAt(p) !== SLASH || ++segments > MAX_SEGMENTS) return null
    const start = ++p
    let digits = 0
    const before = hash
    for (; p < length; p++) {
      const c = path.charCodeAt(p)
      if (c === SLASH) break
      const kind = c < 128 ? PLAIN[c]! : 0
      if (kind === 0) return null
      if (kind === DIGIT) digits++
      hash = Math.imul(hash ^ c, 0x01000193)
    }
    const size = p - start
    if (size === 0) return null
    if (digits === 0 || (digits === 1 && size > 1 && size < 16)) {
      hash = Math.imul(hash ^ SLASH, 0x01000193)
      continue
    }
    if (digits < size || size > MAX_OBJECT_ID_CHARS) return null
    hash = Math.imul(before ^ DIGIT, 0x01000193)
    numbers[count++] = start
    numbers[count++] = p
  }
  const objectIds = count === 0 ? NONE : idsOf(path, count)
  return { route: knownRoute(path, count, (hash ^ (hash >>> 15)) & (MAX_CACHED_ROUTES - 1)), objectIds }
}

function idsOf(path: string, count: number): string[] {
  const ids: string[] = []
  for (let i = 0; i < count; i += 2) ids.push(path.slice(numbers[i], numbers[i + 1]))
  return ids
}

/** One string object per route, so that it is rarely built and later look-ups do not hash it again. */
function knownRoute(path: string, count: number, place: number): string {
  const known = routes[place]!
  if (isRouteOf(known, path, count)) return known
  let route = ''
  let copied = 0
  for (let i = 0; i < count; i += 2) {
    route += path.slice(copied, numbers[i]) + PLACEHOLDER
    copied = numbers[i + 1]!
  }
  route += path.slice(copied)
  routes[place] = route
  return route
}

/** Whether `route` is `path` with its numbers replaced. */
function isRouteOf(route: string, path: string, count: number): boolean {
  let p = 0
  let r = 0
  for (let i = 0; i <= count; i += 2) {
    const end = i === count ? path.length : numbers[i]!
    for (; p < end; p++, r++) if (route.charCodeAt(r) !== path.charCodeAt(p)) return false
    if (i === count) break
    for (let k = 0; k < PLACEHOLDER.length; k++, r++)
      if (route.charCodeAt(r) !== PLACEHOLDER.charCodeAt(k)) return false
    p = numbers[i + 1]!
  }
  return r === route.length
}

/** Path segments as a server resolves them: percent escapes decoded, empty and dot segments removed. */
function segmentsOf(path: string): { readonly segments: readonly string[]; readonly more: boolean } {
  const segments: string[] = []
  for (const raw of path.split('/')) {
    const segment = decoded(raw)
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return { segments: segments.slice(0, MAX_SEGMENTS), more: segments.length > MAX_SEGMENTS }
}

function decoded(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    // A malformed escape names no other resource than its own text does.
    return text
  }
}

function templateSegment(segment: string, ids: string[]): string {
  if (segment.length > MAX_SEGMENT_CHARS && !segment.includes(',')) {
    addId(segment, ids)
    return '{long}'
  }
  const whole = templateValue(segment, ids)
  if (whole !== null) return whole
  const named = segment.includes('=') ? NAMED.exec(segment) : null
  const value = named === null ? null : templateValue(named[2] ?? '', ids)
  return named === null || value === null ? literal(segment) : `${named[1]}${value}`
}

/** Fixed text of a route, without secrets and the characters that would make it look like other routes. */
function literal(segment: string): string {
  if (segment.length > MAX_SEGMENT_CHARS) return '{long}'
  return scrubText(segment) === segment ? segment.replace(/[/{}]/g, encodeURIComponent) : '{hidden}'
}

function templateValue(text: string, ids: string[]): string | null {
  if (text.includes(',')) {
    const items = text.split(',', MAX_OBJECT_IDS).filter((item) => item !== '')
    if (items.length === 0 || !items.every((item) => kindOf(item) !== null)) return null
    for (const item of items) addId(item, ids)
    return '{id}'
  }
  const kind = kindOf(text)
  if (kind !== null) {
    if (kind !== '{date}') addId(text, ids)
    return kind
  }
  const suffixed = SUFFIXED.exec(text)
  const stem = suffixed?.[1] ?? ''
  if (suffixed === null || kindOf(stem) !== '{id}') return null
  addId(stem, ids)
  return `{id}${suffixed[2]}`
}

function addId(id: string, ids: string[]): void {
  if (ids.length < MAX_OBJECT_IDS) ids.push(cutText(id, MAX_OBJECT_ID_CHARS))
}

/** The placeholder of a variable segment, or null for a fixed word. */
function kindOf(text: string): '{id}' | '{date}' | '{email}' | null {
  let digits = 0
  let hex = 0
  let lower = 0
  let upper = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c >= 48 && c <= 57) digits++
    else if (c >= 97 && c <= 122) lower++
    else if (c >= 65 && c <= 90) upper++
    if ((c >= 97 && c <= 102) || (c >= 65 && c <= 70)) hex++
  }
  const length = text.length
  if (digits === 0 && !text.includes('@')) return null
  if (digits === length) return '{id}'
  if (text.includes('@')) return EMAIL.test(text) ? '{email}' : null
  if (VERSION.test(text)) return null
  if (DATE.test(text)) return '{date}'
  if (length >= 16) {
    if (hex + digits === length || UUID.test(text) || ULID.test(text)) return '{id}'
    if ((digits >= 2 || text.endsWith('=')) && lower > 0 && upper > 0 && BASE64.test(text)) return '{id}'
  }
  const digitHeavy = digits >= 4 ? digits * 10 >= length * 3 : digits >= 2 && digits * 2 > length
  return digitHeavy ? '{id}' : null
}

/** Objects that a query string names by parameters such as `id`, `order_id` or `ids=1,2,3`. */
export function objectIdsInQuery(query: string): readonly string[] {
  if (!/id/i.test(query)) return NONE
  const ids: string[] = []
  for (const pair of query.split('&', MAX_QUERY_PAIRS)) {
    const equals = pair.indexOf('=')
    if (equals <= 0 || equals > 64 || !ID_PARAMETER.test(decoded(pair.slice(0, equals)))) continue
    const value = decoded(pair.slice(equals + 1))
    for (const item of value.split(',', MAX_OBJECT_IDS)) if (item !== '') addId(item, ids)
  }
  return ids.length === 0 ? NONE : ids
}
