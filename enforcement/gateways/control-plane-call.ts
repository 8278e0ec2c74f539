import { CurfewError } from '../../core/errors.ts'
import { within } from '../time-limit.ts'
import { boundedText } from './bounded-answer.ts'

/** What a control plane answered. */
export interface Reply {
  readonly status: number
  readonly text: string
  readonly headers: Headers
}

/** One call to a control plane. */
export interface ControlPlaneCall {
  /** Name of the gateway in the configuration, for messages. */
  readonly name: string
  /** Whose answer is missing, in words that follow `no answer from`: `Kong to GET /plugins`. */
  readonly from: string
  readonly timeoutMs: number
  /** An answer beyond it counts as none. */
  readonly maxBytes: number
  /** Ends what it waits for when the signal says so; a {@link CurfewError} of its own is passed on as it is. */
  send(signal: AbortSignal): Promise<Response>
}

/** Longest wait that a server may ask for, seconds. */
const MAX_RETRY_AFTER = 3_600

/**
 * The answer to a call, whatever its status. Throws `ABORTED` once `stop` says so, and `GATEWAY_UNREACHABLE` (retriable)
 * where there is no answer in time, or one beyond bounds.
 */
export async function replyTo(call: ControlPlaneCall, stop: AbortSignal): Promise<Reply> {
  const { name, from, timeoutMs, maxBytes } = call
  const aborted = () => new CurfewError('ABORTED', `${name}: aborted`, { cause: stop.reason })
  if (stop.aborted) throw aborted()
  let isLate = false
  try {
    return await within(timeoutMs, stop, async (signal) => {
      signal.addEventListener('abort', () => (isLate = true), { once: true })
      const answer = await call.send(signal)
      return { status: answer.status, text: await boundedText(answer, maxBytes), headers: answer.headers }
    })
  } catch (cause) {
    if (stop.aborted) throw aborted()
    if (cause instanceof CurfewError) throw cause
    const why = isLate ? `no answer within ${timeoutMs} ms` : 'no answer'
    throw new CurfewError('GATEWAY_UNREACHABLE', `${name}: ${why} from ${from}`, { retriable: true, cause })
  }
}

/** Whether a status asks to be tried again later. */
export function isBusy(status: number): boolean {
  return status === 429 || status >= 500
}

/** For a status that asks to be tried again, after the time that the server gave where it gave one in seconds. */
export function busy(what: string, { headers }: Reply): CurfewError {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  const isTime = Number.isFinite(seconds) && seconds >= 0
  const wait = isTime ? { retryAfterMs: Math.min(seconds, MAX_RETRY_AFTER) * 1_000 } : {}
  return new CurfewError('GATEWAY_UNREACHABLE', what, { retriable: true, ...wait })
}

/** Somebody else's words, cut and escaped; those of an answer that has none: `no reason given`. */
export function quoted(words: unknown, most: number): string {
  return typeof words === 'string' && words !== '' ? JSON.stringify(words.slice(0, most)) : 'no reason given'
}

/** The JSON of an answer; undefined where it is none. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
