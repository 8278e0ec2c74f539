import { hash } from 'node:crypto'
import type { WallTimeMs } from '../core/time.ts'
import type { AskedToken, DenyQuestion } from './gateways/deny-list-index.ts'

/** Tokens remembered at once; the least recently used half goes first. */
export const MAX_REMEMBERED_TOKENS = 20_000
/** A key that an issuer has withdrawn is believed for no longer than this. */
export const MAX_BELIEVED_MS = 60_000

/** A token whose signature held. */
export interface KnownToken {
  readonly token: AskedToken
  /** What the deny list is asked about it when nothing else names the caller. */
  readonly question: DenyQuestion
  /** The headers that tell the gateway who calls. */
  readonly shown: ShownToken
  /** Epoch ms; from then on the signature is checked anew. */
  readonly believedUntil: number
}

/** Names and values of headers in turn, as Node writes them without a further look: who a verified token speaks for. */
export type ShownToken = readonly string[]

/**
 * Tokens that were verified a moment ago, so that each is verified once a minute and not once a call. It only ever
 * spares a signature check: the deny list is asked about every call. Nothing gets in that was not verified, so
 * garbage washes nobody out. Token texts are not kept, only their hashes.
 */
export class TokenMemory {
  private young = new Map<string, KnownToken>()
  private old = new Map<string, KnownToken>()

  /** The token as it was verified; null when it must be verified (again). */
  find(text: string, now: WallTimeMs): KnownToken | null {
    const key = keyOf(text)
    let known = this.young.get(key)
    if (known === undefined) {
      known = this.old.get(key)
      if (known === undefined) return null
      this.keep(key, known)
    }
    return now < known.believedUntil ? known : null
  }

  /** Remembers a token that was verified at `now`; returns what is remembered. */
  add(text: string, question: DenyQuestion, token: AskedToken, now: WallTimeMs, toleranceSeconds: number) {
    const end = token.exp === null ? now : (token.exp + toleranceSeconds) * 1_000
    const known: KnownToken = {
      token,
      question,
      shown: shownOf(token),
      believedUntil: Math.min(end, now + MAX_BELIEVED_MS),
    }
    this.keep(keyOf(text), known)
    return known
  }

  private keep(key: string, known: KnownToken): void {
    this.young.set(key, known)
    if (this.young.size < MAX_REMEMBERED_TOKENS / 2) return
    this.old = this.young
    this.young = new Map()
  }
}

function keyOf(text: string): string {
  return hash('sha256', text, 'base64')
}

/** Longest value of an identity header, in characters. */
export const MAX_IDENTITY_CHARS = 256

/** Headers that tell the gateway who calls, where a token says so. */
export const SHOWN_HEADERS = ['x-curfew-subject', 'x-curfew-issuer', 'x-curfew-token'] as const

/** Those headers of a token that was verified. */
export function shownOf({ sub, iss, jti }: AskedToken): ShownToken {
  const shown: string[] = []
  for (const [i, value] of [sub, iss, jti].entries()) {
    if (value !== null) shown.push(SHOWN_HEADERS[i]!, headerValue(value))
  }
  return shown
}

/** Foreign text as a header value: made well-formed (lone surrogates replaced), percent-encoded and cut. */
export function headerValue(value: string): string {
  // Nearly all values are made of characters that stand for themselves.
  if (value.length <= MAX_IDENTITY_CHARS && /^[\w.~-]*$/.test(value)) return value
  const wellFormed = Buffer.from(value, 'utf8').toString('utf8')
  return encodeURIComponent(wellFormed).slice(0, MAX_IDENTITY_CHARS)
}
