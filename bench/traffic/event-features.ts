import { DAY, HOUR, START } from './calendar.ts'
import { hash } from './random.ts'

/** What one call is by itself, and the true feature that excuses it from being the same. */
export const CALL_FEATURES = [
  ['status', 'errors'],
  ['response bytes', 'bytes'],
  ['request bytes', 'writes'],
  ['latency', null],
  ['records', 'records'],
  ['page', null],
  ['agent', 'agent'],
  ['network', 'network'],
  ['address', 'network'],
  ['hour', 'hours'],
  ['weekday', null],
  ['has a token', 'token'],
] as const

/** Members of a log line that the probes read. */
interface KongLine {
  readonly response: {
    readonly size: number
    readonly status: number
    readonly headers: Record<string, string>
  }
  readonly request: {
    readonly id: string
    readonly uri: string
    readonly size: number
    readonly headers: Record<string, string>
    readonly querystring: { readonly page?: string }
  }
  readonly client_ip: string
  readonly started_at: number
  readonly latencies: { readonly request: number }
  readonly jwt?: { readonly jti: string }
}

/** What a log line may give away by itself: ids, clock digits, order of fields, lengths. */
export function rawFeatures(text: string): Float64Array {
  const line = JSON.parse(text) as KongLine
  const { id, uri } = line.request
  const order = Object.keys(line)
  const path = uri.split('?')[0]!
  const object = path.split('/')[3] ?? ''
  const number = /^\d+$/.test(object) ? Number(object) : Number.parseInt(object.slice(0, 8), 16)
  return Float64Array.of(
    Number.parseInt(id.slice(0, 8), 16),
    Number.parseInt(id.slice(-8), 16),
    [...id].reduce((sum, c) => sum + Number.parseInt(c, 16), 0),
    line.jwt === undefined ? -1 : Number.parseInt(line.jwt.jti.slice(0, 8), 16),
    Number.isNaN(number) ? -1 : number,
    Number.isNaN(number) ? -1 : number % 10,
    Math.floor(line.started_at / 1_000) % 60,
    line.started_at % 1_000,
    hash(...[...order.join()].map((c) => c.charCodeAt(0))),
    order.length,
    text.length,
    path.length,
  )
}

/** The columns of {@link CALL_FEATURES}. */
export function callFeatures(text: string): Float64Array {
  const line = JSON.parse(text) as KongLine
  const { response, request } = line
  const [a, b, c, d] = line.client_ip.split('.').map(Number)
  const agent = request.headers['user-agent'] ?? ''
  const since = line.started_at - START
  return Float64Array.of(
    response.status,
    response.size,
    request.size,
    line.latencies.request,
    Number(response.headers['x-records-returned'] ?? -1),
    Number(request.querystring.page ?? 0),
    hash(...[...agent].map((x) => x.charCodeAt(0))) % 1_000,
    a! * 256 + b!,
    c! * 256 + d!,
    Math.floor(since / HOUR) % 24,
    Math.floor(since / DAY) % 7,
    line.jwt === undefined ? 0 : 1,
  )
}
