import { createHash } from 'node:crypto'
import type { Principal } from '../core/event.ts'
import { networkOf } from '../core/network.ts'
import type { Clock, WallTimeMs } from '../core/time.ts'
import type { Answer, AnswerReason, Reply } from './decision-answer.ts'
import type { ShownToken } from './decision-endpoint-memory.ts'
import { MAX_IDENTITY_CHARS, shownOf, TokenMemory } from './decision-endpoint-memory.ts'
import type { TrustedIssuer } from './decision-endpoint-tokens.ts'
import { readToken, TokenVerifier } from './decision-endpoint-tokens.ts'
import { ENVELOPE_HEADER, type EnvelopeBook, envelopeHeader } from './envelope-book.ts'
import type { DenyList } from './gateways/deny-list.ts'
import type { AskedToken, DenyQuestion } from './gateways/deny-list-index.ts'

/** How far the clocks of issuers may be off, unless told otherwise. */
const CLOCK_TOLERANCE_SECONDS = 5

/** Identity headers set by a gateway that strips them from clients first; names in lower case. */
export interface TrustedHeaders {
  /** Stable consumer id, such as Kong's `x-consumer-id`. */
  readonly consumer: string | null
  /** Row id of the credential used. Kong's `x-credential-identifier` is the key itself, not this. */
  readonly credential: string | null
}

export interface DecisionDeskOptions {
  readonly denyList: DenyList
  readonly clock: Clock
  /**
   * Where empty, claims are taken as they come: they can refuse a call, but count against nobody's throttle, or whoever
   * forges a token would use up the share of the caller that it names.
   */
  readonly issuers: readonly TrustedIssuer[]
  /** Refuse calls that carry no identity at all with 401. Off where the gateway also serves anonymous calls. */
  readonly requireIdentity: boolean
  /** Honoured only when set: anybody who reaches the listener may send them. */
  readonly trustHeaders: TrustedHeaders | null
  /** Header that carries an API key, in lower case; its holder is known by the SHA-256 of the key. */
  readonly apiKeyHeader: string | null
  /** Name of a subject in decisions with scope `principal`; by default the `sub` claim itself. */
  readonly subjectId?: (token: AskedToken) => string | null
  /** What callers unknown to the list get while the local copy is older than `maxStaleMs`. */
  readonly failMode: 'open' | 'closed'
  readonly maxStaleMs: number
  readonly clockToleranceSeconds?: number
  /** Standing limits of callers; `enforced` false only counts what they would refuse. */
  readonly envelopes?: { readonly book: EnvelopeBook; readonly enforced: boolean }
  /** Told of every answer; for metrics. Never receives tokens or claims. */
  readonly answered?: (status: number, reason: AnswerReason) => void
}

/** A call as a gateway tells of it, before any of it is believed. */
export interface AskedCall {
  /** Value of a header, by its name in lower case: null when absent, undefined when two readers could read two values. */
  header(name: string): string | null | undefined
  /** Address of the client, where the gateway itself tells it; null where nobody did. */
  readonly address: string | null
  /** Claims of a token that the gateway verified; null without, undefined when there are two. */
  readonly verified: AskedToken | null | undefined
}

/** Who a call says it is. */
interface Asked {
  readonly text: string | null
  readonly apiKey: string | null
  readonly consumer: string | null
  readonly credential: string | null
  readonly network: string | null
}

const NOBODY_ELSE: Asked = { text: null, apiKey: null, consumer: null, credential: null, network: null }

/**
 * Answers whether a call may pass, whatever the way the question came. It is the only thing that transports share: what is
 * refused on one is refused on the other, and a throttle leaves one share on both.
 */
export class DecisionDesk {
  readonly options: DecisionDeskOptions
  private readonly verifier: TokenVerifier | null
  private readonly memory = new TokenMemory()
  private readonly toleranceSeconds: number

  private constructor(options: DecisionDeskOptions, verifier: TokenVerifier | null) {
    this.options = options
    this.verifier = verifier
    this.toleranceSeconds = options.clockToleranceSeconds ?? CLOCK_TOLERANCE_SECONDS
  }

  /** Reads the keys; throws `CONFIG_INVALID` for one that is unreadable or too short. */
  static async open(options: DecisionDeskOptions): Promise<DecisionDesk> {
    const verifier = options.issuers.length === 0 ? null : await TokenVerifier.of(options.issuers)
    return new DecisionDesk(options, verifier)
  }

  /** Whether the list has heard from its store lately. */
  isFresh(now: WallTimeMs): boolean {
    const { denyList, maxStaleMs } = this.options
    return denyList.refreshedAt !== null && now - denyList.refreshedAt <= maxStaleMs
  }

  /** Answers a call; counts it when it passes. Waits for nothing unless a token must be verified first. */
  answer(call: AskedCall): Reply | Promise<Reply> {
    const { options, memory, verifier } = this
    const now = options.clock.now()
    const asked = readCall(call, options)
    if (asked === 'ambiguous-identity' || asked === 'invalid-token') return this.refuse(401, asked)
    if (call.verified) return this.vouched(call.verified, asked, now)
    const { text } = asked
    const known = text === null || verifier === null ? null : memory.find(text, now)
    const token = known?.token ?? (text === null ? null : readToken(text))
    const alone = asked.apiKey === null && asked.consumer === null && asked.credential === null
    const question =
      known !== null && alone && asked.network === null ? known.question : ask(options, token, asked)
    const refusal = options.denyList.refusal(question, now)
    if (refusal !== null) return this.reply(refusal, known?.shown ?? null)
    // Where nothing is verified, a text that is no token at all names nobody either.
    const anonymous = alone && (verifier === null ? token === null : text === null)
    if (anonymous && options.requireIdentity) return this.refuse(401, 'no-identity')
    if (text === null || known !== null) return this.admit(question, known?.shown ?? null, now)
    if (verifier === null) return this.admit(ask(options, null, asked), null, now)
    if (token === null) return this.refuse(401, 'invalid-token')
    return verifier.fault(text, token, now, this.toleranceSeconds).then((fault) => {
      if (fault !== null) return this.refuse(fault === 'keys-unreachable' ? 503 : 401, fault)
      const plain = alone && asked.network === null ? question : ask(options, token, NOBODY_ELSE)
      const { shown } = memory.add(text, plain, token, now, this.toleranceSeconds)
      // The list may have learnt of the caller while the signature was checked.
      const late = options.denyList.refusal(question, now)
      return late === null ? this.admit(question, shown, now) : this.reply(late, shown)
    })
  }

  /** Turns a call away for a reason that is not on the list. */
  refuse(status: Answer['status'], reason: AnswerReason): Reply {
    return this.reply({ status, reason, ruleId: null, retryAfterSeconds: null }, null)
  }

  /** Of a token that the gateway verified: its signature is not looked at again. */
  private vouched(token: AskedToken, asked: Asked, now: WallTimeMs): Reply {
    // The application could read the other one.
    if (asked.text !== null && !isOf(readToken(asked.text), token))
      return this.refuse(401, 'ambiguous-identity')
    const question = ask(this.options, token, asked)
    const refusal = this.options.denyList.refusal(question, now)
    if (refusal !== null) return this.reply(refusal, shownOf(token))
    return token.malformed ? this.refuse(401, 'invalid-token') : this.admit(question, shownOf(token), now)
  }

  /** Counts a call of somebody who is not refused. */
  private admit(question: DenyQuestion, shown: ShownToken | null, now: WallTimeMs): Reply {
    const { options } = this
    const { principals } = question
    const standing = options.envelopes?.book.ask(principals, now) ?? null
    const enforced = options.envelopes?.enforced === true ? standing : null
    // Before anything is counted: what the envelope refuses uses up nothing of what a throttle leaves.
    if (enforced !== null && enforced.exceeded !== null)
      return this.reply(overEnvelope(enforced.envelope.id), shown)
    const answer = options.denyList.admit(question, now)
    const stale = answer.status === 200 && options.failMode === 'closed' && !this.isFresh(now)
    if (stale) return this.refuse(503, 'deny-list-stale')
    if (answer.status === 200) options.envelopes?.book.count(principals, now)
    const told = enforced === null ? [] : [ENVELOPE_HEADER, envelopeHeader(enforced.envelope)]
    return this.reply(answer, told.length === 0 ? shown : [...(shown ?? []), ...told])
  }

  private reply(answer: Answer, shown: ShownToken | null): Reply {
    this.options.answered?.(answer.status, answer.reason)
    return { answer, shown }
  }
}

/** Requests are counted per 10 s, so the gateway may ask again after as long. */
function overEnvelope(ruleId: string): Answer {
  return { status: 429, reason: 'envelope', ruleId, retryAfterSeconds: 10 }
}

/** Whether a token that came along is the one that the gateway verified. */
function isOf(read: AskedToken | null, verified: AskedToken): boolean {
  if (read === null || read.iss !== verified.iss || read.sub !== verified.sub) return false
  return read.jti === verified.jti && (verified.iat === null || read.iat === verified.iat)
}

function readCall(
  call: AskedCall,
  { apiKeyHeader, trustHeaders }: DecisionDeskOptions,
): Asked | 'ambiguous-identity' | 'invalid-token' {
  const authorization = call.header('authorization')
  const apiKey = apiKeyHeader === null ? null : call.header(apiKeyHeader)
  const consumer = trustedValue(call, trustHeaders?.consumer ?? null)
  const credential = trustedValue(call, trustHeaders?.credential ?? null)
  if (authorization === undefined || apiKey === undefined) return 'ambiguous-identity'
  if (consumer === undefined || credential === undefined) return 'ambiguous-identity'
  if (call.verified === undefined) return 'ambiguous-identity'
  const text = bearerOf(authorization)
  const network = networkOf(call.address)
  return text === undefined ? 'invalid-token' : { text, apiKey, consumer, credential, network }
}

function trustedValue(call: AskedCall, name: string | null): string | null | undefined {
  const value = name === null ? null : call.header(name)
  return value !== null && value !== undefined && value.length > MAX_IDENTITY_CHARS ? undefined : value
}

/**
 * The token of a Bearer header (RFC 6750 section 2.1; scheme without case), or of one without any scheme,
 * as some gateways take it. Undefined when it is anything else with that word in it: passing it as anonymous
 * would let a more lenient reader accept the token in it, such as Envoy, which finds it anywhere in the header.
 */
function bearerOf(authorization: string | null): string | null | undefined {
  if (authorization === null) return null
  const token = /^(?:bearer +)?(\S+) *$/i.exec(authorization)?.[1]
  if (token !== undefined) return token
  return /bearer/i.test(authorization) ? undefined : null
}

function ask(
  { subjectId }: DecisionDeskOptions,
  token: AskedToken | null,
  { apiKey, consumer, credential, network }: Asked,
): DenyQuestion {
  const principals: Pick<Principal, 'kind' | 'id'>[] = []
  const credentials: string[] = []
  const subject = token === null ? null : subjectId === undefined ? token.sub : subjectId(token)
  if (subject !== null) principals.push({ kind: 'sub', id: subject })
  if (consumer !== null) principals.push({ kind: 'consumer', id: consumer })
  if (credential !== null) credentials.push(credential)
  if (apiKey !== null) {
    const id = apiKeyId(apiKey)
    principals.push({ kind: 'key', id })
    credentials.push(id)
  }
  return { token, principals, credentials, network }
}

/** What the holder of an API key is called: the key itself is never kept. */
export function apiKeyId(apiKey: string): string {
  return createHash('sha256').update(apiKey).digest('hex')
}
