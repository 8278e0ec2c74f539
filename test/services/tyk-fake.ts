import { hashOf } from '../../core/hash.ts'
import { type Answered, type Asked, ControlPlaneServer, type JsonAnswer } from './control-plane-server.ts'
import { InjectedFaults, type Refusal } from './injected-faults.ts'
import { tykDescription } from './tyk-description.ts'

type Row = Readonly<Record<string, unknown>>

export interface FakeTykOptions {
  /** `hash_keys` with `enable_hashed_keys_listing`. */
  readonly hashKeys?: boolean
  /** `enable_hashed_keys_listing` is off. */
  readonly hidesKeys?: boolean
  /** As releases that state what is 0, false or empty. */
  readonly isOld?: boolean
  /** Rates are counted in Redis, and read from the session for each call. */
  readonly countsInRedis?: boolean
}

export const FAKE_TYK_SECRET = 'canary-tyk-secret-352d20ee67be67f6340b4c0605b044b7'
const NOT_FOUND = error(404, 'Key not found')
const DESCRIPTION = tykDescription()

const REFUSALS: Readonly<Record<Refusal, JsonAnswer>> = {
  'too-many-requests': { status: 429, body: null, headers: { 'retry-after': '0' } },
  conflict: error(409, 'conflict'),
  'server-error': error(500, 'Failed to create key, ensure security settings are correct.'),
}
/** Answers that stand before Tyk, not of it. */
const NOT_OF_TYK = [409, 429, 502]

/** Tyk's gateway API in this process: the part that enforcement uses, with its traps, and the limiter behind it. */
export class FakeTyk extends ControlPlaneServer {
  readonly keys = new Map<string, Row>()
  /** Policies by id, as far as they decide rates. */
  readonly policies = new Map<string, Row>()
  /** Calls that count against the quota of each key. */
  readonly used = new Map<string, number>()
  /** Writes to lose: answered with 200, and overwritten by somebody else at once. */
  loseWrites = 0
  /** Tyk cannot reach its Redis: it knows no keys and says that everything is well. */
  redisIsDown = false
  /** Status for every call, such as 502; null for none. */
  status: number | null = null
  /** Called with each request before it is answered: somebody else who gets in between. */
  before: (asked: Asked) => void = () => undefined
  readonly faults = new InjectedFaults({
    snapshot: () => structuredClone([...this.keys]),
    restore: (rows: readonly [string, Row][]) => {
      this.keys.clear()
      for (const [name, row] of structuredClone(rows)) this.keys.set(name, row)
    },
  })
  private readonly options: FakeTykOptions
  private readonly buckets = new Map<string, { readonly capacity: number; left: number }>()
  private seconds = 1_700_000_000

  constructor(options: FakeTykOptions = {}) {
    super()
    this.options = options
  }

  /** The name under which Tyk keeps a key. */
  nameOf(key: string): string {
    return (this.options.hashKeys ?? true) ? hashOf('murmur', key).slice(0, 16) : key
  }

  /** Stores a session as its owner would, and says the name of the key. */
  plant(key: string, session: Row): string {
    const name = this.nameOf(key)
    this.keys.set(
      name,
      structuredClone(this.written({ org_id: 'o1', ...session, last_updated: String(++this.seconds) })),
    )
    return name
  }

  /** Every session without what Tyk keeps changing. */
  state(): unknown {
    return [...this.keys]
      .map(([name, { last_updated: _updated, quota_renews: _renews, ...kept }]) => [name, kept] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
  }

  session(key: string): Row | null {
    return this.keys.get(this.nameOf(key)) ?? null
  }

  /** What a call with this key is answered: the endpoint's, the API's or the session's rate, per counter and window. */
  call(key: string, api = 'a1'): 200 | 403 | 429 {
    const name = this.nameOf(key)
    const stored = this.keys.get(name)
    if (stored === undefined) return 403
    const session = this.withPolicies(stored)
    if (session.is_inactive === true) return 403
    const rights = (session.access_rights as Readonly<Record<string, Row>> | undefined)?.[api]
    const limit = (rights?.limit as Row | undefined) ?? {}
    const { rate = 0, quota_max: quota = 0 } = (Object.keys(limit).length > 0 ? limit : session) as {
      rate?: number
      quota_max?: number
    }
    const used = this.used.get(name) ?? 0
    if (rate > 0 && !this.take(`${name}${String(rights?.allowance_scope ?? '')}`, session, rate)) return 429
    if (quota > 0 && used >= quota) return 403
    this.used.set(name, used + 1)
    return 200
  }

  /** Every window ends, so that each counter is full again. */
  endWindows(): void {
    for (const bucket of this.buckets.values()) bucket.left = bucket.capacity
    if (this.options.countsInRedis) this.buckets.clear()
  }

  protected broken(): Answered {
    return REFUSALS['server-error']
  }

  protected answerTo(asked: Asked): Answered {
    const { method, url, headers, body } = asked
    if (this.status !== null) return { ...error(this.status, 'no'), headers: { 'retry-after': '7' } }
    this.note(DESCRIPTION?.request(method, url, body) ?? null)
    if (headers['x-tyk-authorization'] !== FAKE_TYK_SECRET)
      return error(403, 'Attempted administrative access with invalid or missing key!')
    this.before(asked)
    const answered = this.faults.respond(
      `${method} ${url.pathname}`,
      method === 'GET',
      () => this.answer(asked),
      (refusal) => REFUSALS[refusal],
    )
    if (
      answered !== null &&
      answered !== 'garbage' &&
      !NOT_OF_TYK.includes(answered.status) &&
      answered.status !== 500
    )
      this.note(DESCRIPTION?.answer(method, url, answered.status, answered.body) ?? null)
    return answered
  }

  private answer({ method, url, body }: Asked): JsonAnswer {
    const { pathname, searchParams } = url
    if (pathname === '/hello') {
      const status = this.redisIsDown ? 'fail' : 'pass'
      return {
        status: 200,
        body: { status, version: 'v5.8.0', details: { redis: { status, componentType: 'datastore' } } },
      }
    }
    if (pathname === '/tyk/keys') return this.list()
    const name = decodeURIComponent(pathname.replace(/^\/tyk\/keys\//, ''))
    const isHashed = searchParams.has('hashed')
    const { hashKeys = true } = this.options
    if (isHashed && !hashKeys) return error(400, 'Key requested by hash but key hashing is not enabled')
    const stored = isHashed === hashKeys && !this.redisIsDown ? this.keys.get(name) : undefined
    if (stored === undefined) return NOT_FOUND
    if (method === 'GET') return { status: 200, body: this.written(this.withPolicies(stored)) }
    if (method === 'PUT')
      return this.put(name, stored, body as Row, searchParams.get('suppress_reset') === '1')
    this.violations.push(`${method} ${pathname}: enforcement has no business there`)
    return error(405, 'Method not supported')
  }

  private list(): JsonAnswer {
    if (this.options.hidesKeys)
      return error(404, 'Hashed key listing is disabled in config (enable_hashed_keys_listing)')
    return { status: 200, body: { keys: this.redisIsDown ? [] : [...this.keys.keys()] } }
  }

  private put(name: string, before: Row, body: Row, suppressReset: boolean): JsonAnswer {
    const anew = { last_updated: String(++this.seconds), quota_renews: this.seconds }
    const kept = { last_updated: before.last_updated, quota_renews: before.quota_renews }
    if (!suppressReset) this.used.delete(name)
    const next = { ...this.withPolicies(body), ...(suppressReset ? kept : anew) }
    if (this.loseWrites > 0) this.loseWrites--
    else this.keys.set(name, structuredClone(this.written(next)))
    return { status: 200, body: { key: name, status: 'ok', action: 'modified' } }
  }

  private withPolicies(session: Row): Row {
    const ids = (session.apply_policies as readonly string[] | undefined) ?? []
    return Object.assign({}, session, ...ids.map((id) => this.policies.get(id) ?? {}))
  }

  /** Go's `omitzero` and `omitempty`, at the fields of a session. */
  private written(session: Row): Row {
    if (this.options.isOld)
      return {
        is_inactive: false,
        rate: 0,
        per: 0,
        tags: null,
        meta_data: null,
        apply_policies: null,
        ...session,
      }
    const isZero = (value: unknown) =>
      value === undefined ||
      value === null ||
      value === 0 ||
      value === false ||
      value === '' ||
      (typeof value === 'object' && Object.keys(value).length === 0)
    return Object.fromEntries(Object.entries(session).filter(([, value]) => !isZero(value)))
  }

  /** A counter in the memory of Tyk keeps the rate that it began with, for as long as `last_updated` is the same. */
  private take(scope: string, session: Row, rate: number): boolean {
    const name = this.options.countsInRedis ? scope : `${scope}:${String(session.last_updated)}`
    const bucket = this.buckets.get(name) ?? { capacity: rate, left: rate }
    if (this.options.countsInRedis) bucket.left = Math.min(bucket.left, rate)
    this.buckets.set(name, bucket)
    if (bucket.left < 1) return false
    bucket.left--
    return true
  }
}

function error(status: number, message: string): JsonAnswer {
  return { status, body: { status: 'error', message } }
}
