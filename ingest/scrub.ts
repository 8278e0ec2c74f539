import { replaceEmails } from './email-address.ts'

/** At most this much of a line is looked at for an excerpt. */
const MAX_SCRUBBED_CHARS = 4_096
export const MAX_EXCERPT_CHARS = 512
export const MAX_VALUE_CHARS = 80

const SECRET_NAME =
  '(?:[\\w-]{0,64}(?:api[_-]?key|passw(?:or)?d|secret|token|authorization|cookie|session(?:[_-]?id)?|credential|signature)[\\w-]{0,64}|jwt|sig|pwd|key|auth)'
/** `"apikey": "..."`, `"authorization": ["..."`, also when the closing quote was cut off. */
const NAMED_JSON_VALUE = new RegExp(
  `("${SECRET_NAME}"\\s{0,8}:\\s{0,8}\\[?\\s{0,8}")(?:[^"\\\\]|\\\\.)*`,
  'gi',
)
/** `apikey=...` in query strings, matrix parameters, cookies and forms. */
const NAMED_PAIR = new RegExp(`\\b(${SECRET_NAME}=)[^&;\\s"'<>/]+`, 'gi')
const AUTH_SCHEME = /\b(bearer|basic|negotiate|digest|hmac)\s+[\w+/=.~-]{6,}/gi
const JWT = /eyJ[\w-]{5,}(?:\.[\w-]*){0,4}/g
const JWT_CHECK = /eyJ[\w-]{5,}/
const LONG_RUN = /[A-Za-z0-9+/_=-]{24,}/g
const HIDDEN = '[scrubbed]'
const NAME_TOKEN = new RegExp(
  `eyJ[\\w-]{5,}\\.[\\w-]|\\b(?:bearer|basic)\\s+[\\w+/=.~-]{16,}|\\b${SECRET_NAME}=[^&;\\s]{4,}`,
  'i',
)
/** Names without any of these are no tokens; most names are spared the search for one. */
const MAY_BE_TOKEN = /[\s=%]|eyj/i
/** Numbers, dates, UUIDs and ULIDs. */
const PLAIN_ID =
  /^(?:[\d.:TZ-]{1,40}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-7][0-9A-HJKMNP-TV-Z]{25})$/i
const KEY_LIKE = /^[A-Za-z0-9_+./~=-]{16,}$/

function looksRandom(run: string): boolean {
  if (/^[0-9a-f-]+$/i.test(run)) return true
  if (!/\d/.test(run)) return false
  const mixed = /[a-z]/.test(run) && /[A-Z]/.test(run)
  if (run.includes('/')) return mixed && run.split('/').some((part) => part.length >= 20)
  return mixed || (run.match(/\d/g)?.length ?? 0) * 5 >= run.length
}

/**
 * Takes secrets and personal data out of text that came from a log: values of secret-looking names,
 * bearer tokens, JWTs, long random strings and e-mail addresses. Errs on the side of hiding too much.
 */
export function scrubText(text: string): string {
  const scrubbed = text
    .slice(0, MAX_SCRUBBED_CHARS)
    .replace(NAMED_JSON_VALUE, `$1${HIDDEN}`)
    .replace(NAMED_PAIR, `$1${HIDDEN}`)
    .replace(AUTH_SCHEME, `$1 ${HIDDEN}`)
    .replace(JWT, HIDDEN)
    .replace(LONG_RUN, (run) => (looksRandom(run) ? HIDDEN : run))
  return replaceEmails(scrubbed, () => HIDDEN)
}

/** Whether a name is a token after all: a JWT or what follows `Bearer`, or a pair such as `access_token=...`. */
export function isToken(text: string): boolean {
  if (text.length < 12 || !MAY_BE_TOKEN.test(text)) return false
  return NAME_TOKEN.test(text) || (text.includes('%') && NAME_TOKEN.test(unescaped(text)))
}

/** Percent escapes decoded; a text with a malformed one says only what it says. */
export function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Too short for a long run and without what every other pattern of {@link scrubText} needs: most ids and segments. */
const IS_SHORT_WORD = /^[\w.:~+/-]{0,23}$/
const MAY_BE_JWT = 'eyJ'

/** Whether a text of a caller's own may be a token, a key or an e-mail address; UUIDs and plain numbers are not. */
export function looksSecret(text: string): boolean {
  if (text.length < 6 || PLAIN_ID.test(text)) return false
  const isScrubbed = (!IS_SHORT_WORD.test(text) || text.includes(MAY_BE_JWT)) && scrubText(text) !== text
  return isScrubbed || (text.length >= 16 && KEY_LIKE.test(text) && isMixed(text))
}

function isMixed(text: string): boolean {
  return /\d/.test(text) && /[A-Za-z]/.test(text)
}

/** Control characters, line separators and bidirectional overrides as `\u` escapes. */
function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** A copy that does not keep the longer text it was cut from in memory; never ends in half a character. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text
  const last = text.charCodeAt(max - 1)
  const end = last >= 0xd800 && last <= 0xdbff ? max - 1 : max
  return Buffer.from(text.slice(0, end), 'utf8').toString('utf8')
}

/** What a dead letter shows of a line. */
export function excerptOf(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_SCRUBBED_CHARS))
  return cutText(escapeControls(scrubText(head.toString('utf8'))), MAX_EXCERPT_CHARS)
}

/** What an error message shows of a value. */
export function showValue(value: unknown): string {
  const text = typeof value === 'string' ? value : describe(value)
  return cutText(escapeControls(scrubText(text)), MAX_VALUE_CHARS)
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing'
  if (typeof value === 'number') return String(value)
  return JSON.stringify(value) ?? String(value)
}

/** Text that events keep (path, user agent) without what looks like a bearer token or a session in it. */
export function withoutTokens(text: string): string {
  if (!text.includes('eyJ') && !text.includes('=')) return text
  const plain = text.replace(NAMED_PAIR, '$1{token}')
  return JWT_CHECK.test(plain) ? plain.replace(JWT, '{token}') : plain
}
