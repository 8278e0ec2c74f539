/**
 * Does something under a signal that ends it when `stop` does, or after so many milliseconds, and gives what it gives
 * or throws. The limit is a timer of its own and `stop` is listened to: `AbortSignal.any([stop,
 * AbortSignal.timeout(ms)])` holds its sources weakly, so that with Node 20 such a limit never comes once the garbage
 * collector has been by.
 */
export async function within<T>(
  ms: number,
  stop: AbortSignal,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ended = new AbortController()
  const end = () => ended.abort(stop.reason)
  const timer = setTimeout(() => ended.abort(new DOMException(`over ${ms} ms`, 'TimeoutError')), ms)
  stop.addEventListener('abort', end, { once: true })
  try {
    if (stop.aborted) end()
    return await act(ended.signal)
  } finally {
    clearTimeout(timer)
    stop.removeEventListener('abort', end)
  }
}
