import { CurfewError } from '../../core/errors.ts'
import { within } from '../time-limit.ts'
import type { TrafficCounter } from '../traffic-counter.ts'

const ANSWER_TIMEOUT_MS = 5_000
const MAX_ANSWER_BYTES = 4_096

/**
 * Requests of an nginx from its `stub_status` page (ngx_http_stub_status_module): all that were received less
 * those being written, and less our own questions. nginx does not name the process that counts; a count that went
 * back says that another one does.
 */
export function nginxCounter(gateway: string, url: string): TrafficCounter {
  let questions = 0
  let last = 0
  let restarts = 0
  return {
    gateway,
    total: async (stop) => {
      questions++
      const text = await page(url, stop)
      const numbers = /\n\s*\d+\s+\d+\s+(\d{1,15})\s*\n/.exec(text)?.[1]
      const writing = /Writing: (\d{1,9})/.exec(text)?.[1]
      if (numbers === undefined || writing === undefined) throw failure('the page has another form')
      const total = Number(numbers)
      if (total < last) {
        restarts++
        questions = 1
      }
      last = total
      // Our own question is among those being written, and among the questions.
      return { epoch: String(restarts), requests: Math.max(0, total - questions - (Number(writing) - 1)) }
    },
  }
}

async function page(url: string, stop: AbortSignal): Promise<string> {
  try {
    return await within(ANSWER_TIMEOUT_MS, stop, async (signal) => {
      const response = await fetch(url, { redirect: 'error', signal })
      if (!response.ok) throw failure(`it answered ${response.status}`)
      if (Number(response.headers.get('content-length') ?? 0) > MAX_ANSWER_BYTES)
        throw failure('the page is too long')
      return (await response.text()).slice(0, MAX_ANSWER_BYTES)
    })
  } catch (error) {
    if (error instanceof CurfewError) throw error
    if (stop.aborted) throw new CurfewError('ABORTED', 'asking nginx was stopped', { cause: error })
    throw failure('no answer', error)
  }
}

/** Does not quote the address. */
function failure(why: string, cause?: unknown): CurfewError {
  return new CurfewError('GATEWAY_UNREACHABLE', `nginx status page: ${why}`, { retriable: true, cause })
}
