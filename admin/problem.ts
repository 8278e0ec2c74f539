import type { ChangeResult } from '../engine/control-plane.ts'

/** The `code` of an error answer; closed, so that clients can branch on it. */
export type ProblemCode =
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'too-large'
  | 'unsupported-media-type'
  | 'misdirected'
  | 'rate-limited'
  | 'unavailable'
  | 'internal'

const STATUS: Record<ProblemCode, number> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  'unsupported-media-type': 415,
  misdirected: 421,
  'rate-limited': 429,
  internal: 500,
  unavailable: 503,
}

/** Body of every answer that is not a success. */
export interface ProblemBody {
  readonly error: { readonly code: ProblemCode; readonly message: string; readonly field?: string }
}

/** An answer that is not a success; its message is meant for the caller. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly field: string | undefined
  readonly status: number

  constructor(code: ProblemCode, message: string, field?: string) {
    super(message)
    this.name = 'Problem'
    this.code = code
    this.field = field
    this.status = STATUS[code]
  }

  body(): ProblemBody {
    const { code, message, field } = this
    return { error: field === undefined ? { code, message } : { code, message, field } }
  }
}

const MAX_QUOTED = 80

/** Text from outside as it may stand in a message: cut to 80 characters, nothing invisible left in it. */
export function quoted(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  const cut = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text
  return `"${escapeInvisible(cut)}"`
}

/** Replaces control, bidirectional and lone surrogate characters by their `\uXXXX` form. */
export function escapeInvisible(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The value of a change, or the problem that its refusal stands for. */
export function changed<T>(result: ChangeResult<T>): T {
  if (result.ok) return result.value
  throw new Problem(result.why, escapeInvisible(result.detail).slice(0, 300))
}

/** What was asked for, or 404. */
export function found<T>(value: T | null, what: string): T {
  if (value === null) throw new Problem('not-found', `no such ${what}`)
  return value
}
