import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { within } from '../../../enforcement/time-limit.ts'

/** What nobody ends but its signal, and nobody holds but the signal's own listeners. */
const hanging = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
}

it('keeps its limit over a garbage collection, whoever else could stop it', async () => {
  const running = [
    within(60, new AbortController().signal, hanging),
    within(60_000, AbortSignal.timeout(60), hanging),
  ].map((call) => call.catch((error: DOMException) => error.name))
  await new Promise((resolve) => setTimeout(resolve, 20))
  collectGarbage()
  expect(await Promise.all(running)).toEqual(['TimeoutError', 'TimeoutError'])
})

it('ends with what it was stopped for, at once if that was before', async () => {
  const stop = new AbortController()
  const running = within(60_000, stop.signal, hanging)
  stop.abort('shutting down')
  await expect(running).rejects.toBe('shutting down')
  const seen = await within(60_000, stop.signal, async (signal) => [signal.aborted, signal.reason])
  expect(seen).toEqual([true, 'shutting down'])
})

it('gives what was done in time, and leaves no listener with who could have stopped it', async () => {
  const stop = new AbortController().signal
  const seen = await within(1_000, stop, async () => getEventListeners(stop, 'abort').length)
  expect([seen, getEventListeners(stop, 'abort').length]).toEqual([1, 0])
})
