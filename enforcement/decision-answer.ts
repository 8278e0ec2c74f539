import type { ShownToken } from './decision-endpoint-memory.ts'
import { headerValue } from './decision-endpoint-memory.ts'
import type { TokenFault } from './decision-endpoint-tokens.ts'
import type { DenyReason } from './gateways/deny-list-index.ts'

/** Why a call passes or does not; gateways are told in the header `x-curfew-reason`. */
export type AnswerReason =
  | DenyReason
  | TokenFault
  | 'envelope'
  | 'no-identity'
  | 'ambiguous-identity'
  | 'deny-list-stale'
  | 'keys-unreachable'
  | 'question-too-large'
  | 'unreadable-question'
  | 'unknown-domain'

/** What becomes of a call, in terms of HTTP: 200 passes, 503 says that nobody can tell, all else refuses. */
export interface Answer {
  readonly status: 200 | 400 | 401 | 403 | 429 | 431 | 503
  readonly reason: AnswerReason
  /** The decision or envelope that refuses; null when none of ours does. */
  readonly ruleId: string | null
  /** Set with status 429. */
  readonly retryAfterSeconds: number | null
}

/** An answer, and who calls where a token was verified: headers for the gateway, never for the client. */
export interface Reply {
  readonly answer: Answer
  readonly shown: ShownToken | null
}

/** Headers of a refusal that a client may see: names in lower case and values in turn. */
export function refusalHeaders({ status, reason, ruleId, retryAfterSeconds }: Answer): string[] {
  const headers = ['cache-control', 'no-store', 'content-type', 'application/json; charset=utf-8']
  headers.push('x-curfew-reason', reason)
  // A decision's id when one of ours refused, so that logs tell our refusals from all others.
  if (ruleId !== null) headers.push('x-curfew-decision', headerValue(ruleId))
  if (retryAfterSeconds !== null) headers.push('retry-after', String(retryAfterSeconds))
  if (status === 401) headers.push('www-authenticate', 'Bearer error="invalid_token"')
  return headers
}

/** Body of a refusal, as JSON in ASCII. */
export function refusalBody({ reason }: Answer): string {
  return JSON.stringify({ error: reason })
}
