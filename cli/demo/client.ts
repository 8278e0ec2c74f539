import { Agent, request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a client saw of one call. */
export interface ClientAnswer {
  readonly status: number
  /** Records that it got. */
  readonly records: number
}

export interface PagingOptions {
  /** Address of the collection, without query. */
  readonly url: string
  readonly token: string
  readonly userAgent: string
  readonly pages: number
  readonly size: number
  /** From the start of one request to the start of the next, ms. */
  readonly intervalMs: number
  /** False when the client has had enough. */
  readonly onAnswer: (answer: ClientAnswer) => boolean
}

const TIMEOUT_MS = 5_000

/** A client that pages through a collection over one connection, at a steady pace. */
export async function pageThrough(options: PagingOptions, stop: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  try {
    const started = performance.now()
    for (let page = 1; page <= options.pages && !stop.aborted; page++) {
      const answer = await get(`${options.url}?page=${page}&size=${options.size}`, options, agent)
      if (!options.onAnswer(answer)) return
      const wait = started + page * options.intervalMs - performance.now()
      if (wait > 0) await sleep(wait, undefined, { signal: stop }).catch(() => undefined)
    }
  } finally {
    agent.destroy()
  }
}

function get(url: string, { token, userAgent }: PagingOptions, agent: Agent): Promise<ClientAnswer> {
  const headers = { authorization: `Bearer ${token}`, 'user-agent': userAgent }
  return new Promise((resolve, reject) => {
    const asked = httpRequest(url, { agent, headers, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const status = response.statusCode ?? 0
        resolve({ status, records: status === 200 ? recordsIn(Buffer.concat(chunks)) : 0 })
      })
    })
    asked.on('timeout', () => asked.destroy(new Error('the gateway does not answer')))
    asked.on('error', reject)
    asked.end()
  })
}

/** Counted in the body: what really left, whatever a header says. */
function recordsIn(body: Buffer): number {
  const { items } = JSON.parse(body.toString('utf8')) as { readonly items: readonly unknown[] }
  return items.length
}
