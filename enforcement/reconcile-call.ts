import { setMaxListeners } from 'node:events'
import { CurfewError } from '../core/errors.ts'

/** Whether a failure means "never, as it is": tried again only after {@link REFUSAL_PAUSE_MS}. */
export function isRefusal(error: unknown): boolean {
  return error instanceof CurfewError && !error.retriable && error.code !== 'ABORTED'
}

/** How long a refused operation rests before it is tried again: somebody may have cleared the way. */
export const REFUSAL_PAUSE_MS = 600_000

const BACK_OFF_BASE_MS = 250
const BACK_OFF_MAX_MS = 30_000
/** A gateway may ask for patience, not for forever. */
const RETRY_AFTER_MAX_MS = 600_000

/**
 * Pause before the next try: exponential with "equal jitter" (half fixed, half random, see M. Brooker,
 * "Exponential Backoff And Jitter", AWS Architecture Blog 2015), never shorter than the gateway asked for.
 */
export function backOffMs(failures: number, retryAfterMs: number, random: () => number): number {
  const ceiling = Math.min(BACK_OFF_MAX_MS, BACK_OFF_BASE_MS * 2 ** Math.min(failures, 20))
  const jittered = ceiling / 2 + (ceiling / 2) * random()
  return Math.max(jittered, Math.min(retryAfterMs, RETRY_AFTER_MAX_MS))
}

/**
 * Runs one gateway call with a time limit. The limit holds even if the call ignores its signal; what it
 * answers later is dropped.
 */
export async function callGateway<T>(
  act: (signal: AbortSignal) => Promise<T>,
  timeoutMs: number,
  stop: AbortSignal,
): Promise<T> {
  const ending = new AbortController()
  // An adapter may make several requests of one call.
  setMaxListeners(0, ending.signal)
  const onStop = () => ending.abort(stop.reason)
  if (stop.aborted) onStop()
  stop.addEventListener('abort', onStop, { once: true })
  const timeout = new CurfewError('GATEWAY_UNREACHABLE', `no answer within ${timeoutMs} ms`, {
    retriable: true,
  })
  const timer = setTimeout(() => ending.abort(timeout), timeoutMs)
  const ended = new Promise<never>((_, reject) => {
    const fail = () =>
      reject(
        stop.aborted
          ? new CurfewError('ABORTED', 'stopped', { retriable: true, cause: stop.reason })
          : timeout,
      )
    if (ending.signal.aborted) fail()
    else ending.signal.addEventListener('abort', fail, { once: true })
  })
  try {
    return await Promise.race([act(ending.signal), ended])
  } finally {
    clearTimeout(timer)
    stop.removeEventListener('abort', onStop)
  }
}
