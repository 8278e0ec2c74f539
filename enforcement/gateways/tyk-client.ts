import { CurfewError } from '../../core/errors.ts'
import { hashOf } from '../../core/hash.ts'
import { isRecord, isTexts } from './answer-shape.ts'
import { busy, isBusy, jsonIn, quoted, type Reply, replyTo } from './control-plane-call.ts'

export interface TykClientOptions {
  readonly name: string
  /** Where the gateway API listens, such as `http://127.0.0.1:8080`. */
  readonly adminUrl: URL
  /** Sent as `X-Tyk-Authorization`. */
  readonly secret: string
  /** Whether Tyk keeps hashes of keys only (`hash_keys`). */
  readonly hashedKeys: boolean
  readonly timeoutMs: number
  readonly fetch: typeof fetch
}

/** An object of Tyk's, or a part of one. */
export type TykRow = Readonly<Record<string, unknown>>

interface Asked {
  readonly method: 'GET' | 'PUT'
  readonly path: string
  /** What is asked, for people: names of keys are secrets where they are not hashed. */
  readonly what: string
  readonly body?: TykRow
}

const MAX_ANSWER_BYTES = 32 * 1_048_576
/** Names that stay one part of a path: whatever else Tyk holds under `apikey-` cannot be asked for, nor have a mark. */
const ADDRESSABLE = /^(?!\.{1,2}$)[^/\\\p{Cc}\p{Cs}]{1,1024}$/u

/** What stands for a key in events (`hashedCredential`), decisions and messages. */
export function tykKeyId(name: string): string {
  return `sha256-${hashOf(name).slice(0, 32)}`
}

/** Tyk's gateway API (5.x), as much of it as enforcement needs. Every failure is a {@link CurfewError}. */
export class TykClient {
  private readonly options: TykClientOptions

  constructor(options: TykClientOptions) {
    this.options = options
  }

  /**
   * Names of all keys that can be asked for, hashes where Tyk keeps hashes. Tyk answers an empty list when it cannot
   * reach its Redis, so one is believed only while Tyk says that it does.
   */
  async keyNames(stop: AbortSignal): Promise<readonly string[]> {
    const what = 'the list of keys'
    const reply = await this.fetched({ method: 'GET', path: '/tyk/keys', what }, stop)
    if (reply.status === 404)
      throw new CurfewError(
        'GATEWAY_UNSUPPORTED',
        `${this.options.name}: Tyk does not list its keys: set enable_hashed_keys_listing, and give the address of the gateway API as adminUrl`,
      )
    const body = this.parsed(what, reply)
    const keys = isRecord(body) ? (body.keys ?? []) : undefined
    if (!isTexts(keys)) throw this.nonsense('a list of keys that is none')
    if (keys.length === 0) await this.mustHaveStore(stop)
    return [...new Set(keys)].filter((key) => ADDRESSABLE.test(key))
  }

  /** The session of a key; null when there is no such key, which Tyk also says of one that it could not look up. */
  async session(key: string, stop: AbortSignal): Promise<TykRow | null> {
    const what = `key ${tykKeyId(key)}`
    const reply = await this.fetched({ method: 'GET', path: this.pathOf(key, {}), what }, stop)
    if (reply.status === 404) return null
    const body = this.parsed(what, reply)
    if (!isRecord(body)) throw this.nonsense('a key that is no object')
    for (const field of ['meta_data', 'access_rights'] as const)
      if (body[field] !== undefined && body[field] !== null && !isRecord(body[field]))
        throw this.nonsense(`a key with unreadable ${field}`)
    if (body.rate === undefined && body.org_id === undefined && body.access_rights === undefined)
      throw this.nonsense('a key that has nothing of one')
    return body
  }

  /**
   * Replaces the whole session. `startsAnew` has the counters of the key begin anew, used quotas as well; without it
   * the limiter in the memory of Tyk goes on with the rate that it knows.
   */
  async putSession(key: string, session: TykRow, startsAnew: boolean, stop: AbortSignal): Promise<void> {
    const query: Record<string, string> = startsAnew ? {} : { suppress_reset: '1' }
    const what = `change of key ${tykKeyId(key)}`
    const asked: Asked = { method: 'PUT', path: this.pathOf(key, query), what, body: session }
    const reply = await this.fetched(asked, stop)
    if (reply.status === 404)
      throw new CurfewError('GATEWAY_CONFLICT', `${this.options.name}: Tyk answered 404 to a ${what}`, {
        retriable: true,
      })
    const body = this.parsed(what, reply)
    if (!isRecord(body) || body.status !== 'ok')
      throw this.nonsense(`a ${what} without saying that it was made`)
  }

  /** Throws while Tyk does not say that it reaches its Redis. */
  async mustHaveStore(stop: AbortSignal): Promise<void> {
    const what = 'its state (/hello)'
    const body = this.parsed(what, await this.fetched({ method: 'GET', path: '/hello', what }, stop))
    const details = isRecord(body) && isRecord(body.details) ? body.details : {}
    const redis = isRecord(details.redis) ? details.redis.status : undefined
    if (redis !== 'pass') throw this.nonsense('that it does not reach its Redis')
  }

  private pathOf(key: string, query: Readonly<Record<string, string>>): string {
    const all = new URLSearchParams({ ...query, ...(this.options.hashedKeys ? { hashed: 'true' } : {}) })
    return `/tyk/keys/${encodeURIComponent(key)}${all.size === 0 ? '' : `?${all}`}`
  }

  private parsed(what: string, reply: Reply): unknown {
    if (reply.status < 200 || reply.status >= 300) throw this.failure(what, reply)
    try {
      return JSON.parse(reply.text)
    } catch {
      // The cause would quote the answer, which may have secrets in it.
      throw this.nonsense(`${what} without JSON`)
    }
  }

  private fetched({ method, path, what, body }: Asked, stop: AbortSignal): Promise<Reply> {
    const { name, adminUrl, secret, timeoutMs } = this.options
    const headers: Record<string, string> = { accept: 'application/json', 'x-tyk-authorization': secret }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const root = adminUrl.href.replace(/\/+$/, '')
    const init = { method, headers, redirect: 'error', body: body ? JSON.stringify(body) : null } as const
    const send = (signal: AbortSignal) => this.options.fetch(`${root}${path}`, { ...init, signal })
    return replyTo({ name, from: `Tyk about ${what}`, timeoutMs, maxBytes: MAX_ANSWER_BYTES, send }, stop)
  }

  private failure(asked: string, reply: Reply): CurfewError {
    const { status, text } = reply
    const what = `${this.options.name}: Tyk answered ${status} about ${asked}`
    if (status === 409) return new CurfewError('GATEWAY_CONFLICT', what, { retriable: true })
    if (isBusy(status)) return busy(`${what}: ${detail(text)}`, reply)
    const why = status === 403 ? 'it takes another secret' : detail(text)
    return new CurfewError('GATEWAY_REFUSED', `${what}: ${why}`)
  }

  private nonsense(what: string): CurfewError {
    return new CurfewError('GATEWAY_UNREACHABLE', `${this.options.name}: Tyk answered ${what}`, {
      retriable: true,
    })
  }
}

/** Tyk's own words. */
function detail(text: string): string {
  const answer = jsonIn(text)
  return quoted(isRecord(answer) ? answer.message : null, 120)
}
