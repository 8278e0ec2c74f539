import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { inert } from './log-text.ts'

/** Longest answer that is read; what follows is not. */
export const MAX_ANSWER_BYTES = 65_536

/** A longer Retry-After is taken as this: nothing is retried for longer than a day anyway. */
const MAX_RETRY_AFTER_MS = 86_400_000

/** How long one call may take when nothing else is configured. */
export const DEFAULT_TIMEOUT_MS = 10_000

export interface PostRequest {
  /** May hold a secret, so it never appears in an error. */
  readonly url: URL
  /** How errors call the other side. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly timeoutMs: number
  readonly clock: Clock
}

export interface PostAnswer {
  readonly status: number
  readonly retryAfterMs: number | undefined
  /** At most {@link MAX_ANSWER_BYTES} of it. */
  readonly text: string
}

/**
 * Sends one POST and reads a bounded part of the answer. Redirects are not followed. Throws `ABORTED` when
 * `stop` fires and `SINK_UNREACHABLE` (retriable) when no answer came; any status is an answer.
 */
export async function post(request: PostRequest, stop: AbortSignal): Promise<PostAnswer> {
  if (stop.aborted) throw aborted(request.target)
  const call = new AbortController()
  const end = (): void => call.abort()
  const timer = setTimeout(end, request.timeoutMs)
  stop.addEventListener('abort', end, { once: true })
  try {
    const response = await fetch(request.url, {
      method: 'POST',
      headers: { ...request.headers },
      body: request.body,
      redirect: 'manual',
      signal: call.signal,
    })
    const retryAfterMs = retryAfter(response.headers.get('retry-after'), request.clock)
    return { status: response.status, retryAfterMs, text: await boundedText(response) }
  } catch (error) {
    if (stop.aborted) throw aborted(request.target)
    const why = call.signal.aborted ? `no answer within ${request.timeoutMs} ms` : causeCode(error)
    throw new CurfewError('SINK_UNREACHABLE', `${request.target} cannot be reached: ${why}`, {
      retriable: true,
    })
  } finally {
    clearTimeout(timer)
    stop.removeEventListener('abort', end)
  }
}

function aborted(target: string): CurfewError {
  return new CurfewError('ABORTED', `sending to ${target} was stopped`)
}

/** Only the code: messages and causes of the HTTP client may quote the address, which may be a secret. */
function causeCode(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' ? inert(code, 80) : 'the connection failed'
}

async function boundedText(response: Response): Promise<string> {
  if (response.body === null) return ''
  const reader = response.body.getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  while (size < MAX_ANSWER_BYTES) {
    const { done, value } = await reader.read()
    if (done) break
    chunks.push(value)
    size += value.length
  }
  await reader.cancel()
  return Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES).toString('utf8')
}

/** RFC 9110 section 10.2.3: delay in seconds or an HTTP date. */
function retryAfter(header: string | null, clock: Clock): number | undefined {
  if (header === null) return undefined
  const ms = /^\d{1,10}$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - clock.now()
  return Number.isNaN(ms) ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms))
}

/** The address of a channel, checked: http or https, no user or password in it. Errors do not quote it. */
export function channelUrl(setting: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  const valid = url !== null && (url.protocol === 'https:' || url.protocol === 'http:')
  if (!valid) throw new CurfewError('CONFIG_INVALID', `${setting} must be an http or https address`)
  if (url.username !== '' || url.password !== '') {
    throw new CurfewError('CONFIG_INVALID', `${setting} must not contain a user name or password`)
  }
  return url
}

/** The failure that an answer other than success means, for sinks that go by the status. */
export function answerError(target: string, answer: PostAnswer): CurfewError {
  const said = answer.text === '' ? '' : `: ${inert(answer.text, 80)}`
  const message = `${target} answered ${answer.status}${said}`
  if (MESSAGE_FAULTS.has(answer.status)) return new CurfewError('SINK_REFUSED', message)
  return new CurfewError('SINK_UNREACHABLE', message, {
    retriable: true,
    ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }),
  })
}

/** The same message would fail again: bad request, too large, unsupported type, unprocessable. */
const MESSAGE_FAULTS: ReadonlySet<number> = new Set([400, 413, 415, 422])
