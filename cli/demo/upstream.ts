import type { ServerResponse } from 'node:http'
import { type LoopbackServer, startLoopbackServer } from './loopback-server.ts'

/** Records of each collection. */
const COLLECTION_RECORDS = 10_000
const MAX_PAGE_SIZE = 10_000

/**
 * The API behind the demo gateway: `GET /v1/{collection}?page=1&size=25` returns a page of invented records
 * and says how many in `X-Records-Returned`. It trusts the gateway in front of it and nobody else reaches it.
 */
export function startUpstream(): Promise<LoopbackServer> {
  return startLoopbackServer((request, response) => {
    request.resume()
    const url = new URL(request.url ?? '/', 'http://upstream.invalid')
    const collection = /^\/v1\/([a-z]{1,40})$/.exec(url.pathname)?.[1]
    const page = wholeNumber(url.searchParams.get('page'), 1, 1_000_000)
    const size = wholeNumber(url.searchParams.get('size'), 25, MAX_PAGE_SIZE)
    if (request.method !== 'GET' || collection === undefined)
      return answer(response, 404, { error: 'no such collection' })
    if (page === null || size === null) return answer(response, 400, { error: 'page or size out of range' })
    const first = Math.min((page - 1) * size, COLLECTION_RECORDS)
    const count = Math.min(size, COLLECTION_RECORDS - first)
    const items = Array.from({ length: count }, (_, i) => record(collection, first + i + 1))
    answer(response, 200, { page, size, items }, { 'X-Records-Returned': String(count) })
  })
}

function wholeNumber(text: string | null, fallback: number, max: number): number | null {
  if (text === null) return fallback
  const n = /^\d{1,9}$/.test(text) ? Number(text) : 0
  return n >= 1 && n <= max ? n : null
}

function record(collection: string, id: number): object {
  const cents = (id * 7_919) % 100_000
  return {
    id: `${collection}-${id}`,
    customer: `customer-${(id * 31) % 4_000}`,
    amount: cents / 100,
    currency: 'EUR',
    note: 'invented for the demo; no person and no company is behind it',
  }
}

function answer(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    ...headers,
  })
  response.end(text)
}
