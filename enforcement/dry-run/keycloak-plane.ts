import { isRecord } from '../gateways/answer-shape.ts'
import type { HttpAnswer, HttpAsked, HttpPlane } from './dry-fetch.ts'
import type { Recorder } from './recorder.ts'

type Row = Readonly<Record<string, unknown>>

const ABSENT: HttpAnswer = { status: 404, body: { error: 'not found' } }
const DONE: HttpAnswer = { status: 204, body: null }

/** Keycloak's admin API of one realm. Asking for the access token that reads need counts as a read. */
export class KeycloakPlane implements HttpPlane {
  readonly #recorder: Recorder
  /** Groups by id; null for a deleted one. */
  readonly #groups = new Map<string, Row | null>()
  readonly #enabled = new Map<string, boolean>()
  readonly #loggedOut = new Set<string>()
  /** Offline sessions that were ended. */
  readonly #ended = new Set<string>()
  #created = 0

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  isRead({ method, path }: HttpAsked): boolean {
    return method === 'GET' || (method === 'POST' && isTokenPath(path))
  }

  read({ path, url }: HttpAsked, answer: HttpAnswer, date: number): HttpAnswer {
    if (answer.status !== 200 || isTokenPath(path)) return answer
    const [place, id = '', list] = belowRealm(path)
    const { body } = answer
    if (place === 'groups' && Array.isArray(body)) return { status: 200, body: this.#withGroups(body, url) }
    if (place !== 'users') return answer
    if (list === undefined && isRecord(body)) return { status: 200, body: this.#user(id, body, date) }
    if (!Array.isArray(body)) return answer
    if (list === 'sessions' && this.#loggedOut.has(id)) return { status: 200, body: [] }
    if (list === 'offline-sessions')
      return { status: 200, body: body.filter((one) => !isRecord(one) || !this.#ended.has(String(one.id))) }
    return answer
  }

  write({ method, path, body }: HttpAsked): HttpAnswer {
    const [place, id, action] = belowRealm(path)
    if (place === 'groups') return this.#writeGroup(method, id, isRecord(body) ? body : {})
    if (place === 'sessions') this.#ended.add(id ?? '')
    else if (place === 'users' && action === 'logout') this.#loggedOut.add(id ?? '')
    else if (place === 'users' && isRecord(body)) this.#enabled.set(id ?? '', body.enabled === true)
    else return ABSENT
    return DONE
  }

  offline({ path }: HttpAsked): HttpAnswer {
    if (isTokenPath(path)) return { status: 200, body: { access_token: 'offline', expires_in: 60 } }
    const [place, , list] = belowRealm(path)
    if (place === 'users' && list === undefined) {
      this.#recorder.note('offline: the account counts as switched on and without offline sessions')
      return { status: 200, body: { enabled: true, notBefore: 0 } }
    }
    return { status: 200, body: [] }
  }

  #writeGroup(method: string, id: string | undefined, body: Row): HttpAnswer {
    if (method === 'DELETE') this.#groups.set(id ?? '', null)
    else if (id !== undefined) this.#groups.set(id, { ...body, id })
    else {
      const made = `new-group-${++this.#created}`
      this.#recorder.note(`Keycloak gives a new group its id; ${made} stands for it`)
      this.#groups.set(made, { ...body, id: made })
      return { status: 201, body: null }
    }
    return DONE
  }

  #withGroups(rows: readonly unknown[], url: URL): readonly unknown[] {
    const kept = rows.filter((row) => !isRecord(row) || !this.#groups.has(String(row.id)))
    const isLast = rows.length < Number(url.searchParams.get('max') ?? Number.POSITIVE_INFINITY)
    return [...kept, ...(isLast ? [...this.#groups.values()].filter((row) => row !== null) : [])]
  }

  /** As Keycloak has it: a logout makes tokens of before worthless from its own present on. */
  #user(id: string, body: Row, date: number): Row {
    const enabled = this.#enabled.get(id) ?? body.enabled
    const now = Number.isFinite(date) ? Math.floor(date / 1_000) : Number.MAX_SAFE_INTEGER
    return { ...body, enabled, ...(this.#loggedOut.has(id) ? { notBefore: now } : {}) }
  }
}

function isTokenPath(path: readonly string[]): boolean {
  return path.slice(-3).join('/') === 'protocol/openid-connect/token'
}

/** What follows `admin/realms/<realm>`, wherever the server's own path begins. */
function belowRealm(path: readonly string[]): readonly string[] {
  const at = path.findIndex((part, i) => part === 'admin' && path[i + 1] === 'realms')
  return path.slice(at + 3)
}
