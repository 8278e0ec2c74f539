import { isRecord } from '../gateways/answer-shape.ts'
import type { HttpAnswer, HttpAsked, HttpPlane } from './dry-fetch.ts'
import { HIDDEN } from './mask.ts'
import type { Recorder } from './recorder.ts'

type Row = Readonly<Record<string, unknown>>

const ABSENT: HttpAnswer = { status: 404, body: { error: { status: 'NOT_FOUND' } } }
const STATUS_AFTER: Readonly<Record<string, string>> = {
  approve: 'approved',
  revoke: 'revoked',
  active: 'active',
  inactive: 'inactive',
}

/** Apigee's management API: entries of a key value map, statuses of callers, security actions. */
export class ApigeePlane implements HttpPlane {
  readonly #recorder: Recorder
  /** Entries by name; null for a deleted one. */
  readonly #entries = new Map<string, string | null>()
  readonly #seen = new Set<string>()
  /** Statuses by the path of the caller. */
  readonly #statuses = new Map<string, string>()
  readonly #actions = new Map<string, Row>()

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  isRead({ method }: HttpAsked): boolean {
    return method === 'GET'
  }

  read(asked: HttpAsked, answer: HttpAnswer): HttpAnswer {
    if (answer.status !== 200 || !isRecord(answer.body)) return answer
    const { body } = answer
    const rest = asked.path.slice(3)
    const last = rest.at(-1)
    if (last === 'entries') return { status: 200, body: this.#withEntries(body) }
    if (last === 'securityActions') return { status: 200, body: this.#withActions(body) }
    if (last === 'apps' && rest.length === 1) return { status: 200, body: this.#withKeys(body) }
    const status = this.#statuses.get(keyOf(rest))
    return status === undefined ? answer : { status: 200, body: { ...body, status } }
  }

  write({ method, path, url, body }: HttpAsked): HttpAnswer {
    const rest = path.slice(3)
    if (rest[2] === 'keyvaluemaps') return this.#writeEntry(method, rest, record(body))
    if (rest[2] === 'securityActions') return this.#writeAction(rest, url, record(body))
    const status = STATUS_AFTER[url.searchParams.get('action') ?? '']
    if (status === undefined) return ABSENT
    this.#statuses.set(keyOf(rest), status)
    return { status: 204, body: null }
  }

  offline({ path }: HttpAsked): HttpAnswer {
    const rest = path.slice(3)
    const last = rest.at(-1)
    if (last === 'securityActionsConfig') return { status: 200, body: { enabled: true } }
    if (last === 'entries' || last === 'securityActions') return { status: 200, body: {} }
    if (last === 'apps') {
      this.#recorder.note('offline: which app a key belongs to is known at Apigee only')
      return { status: 200, body: {} }
    }
    return { status: 200, body: { status: rest.length > 2 ? 'approved' : 'active' } }
  }

  /** The consumer key in the address of a key is what a caller shows to be let in. */
  shownUrl(url: URL): string {
    return url.href.replace(/(\/apps\/[^/?]+\/keys\/)[^/?]+/, `$1${HIDDEN}`)
  }

  #writeEntry(method: string, rest: readonly string[], { name, value }: Row): HttpAnswer {
    const entry = rest[5] ?? String(name)
    const before = this.#entries.get(entry)
    const exists = before === undefined ? this.#seen.has(entry) : before !== null
    if (method !== 'POST' && !exists) return ABSENT
    this.#entries.set(entry, method === 'DELETE' ? null : String(value))
    return { status: 200, body: { name: entry, value } }
  }

  #writeAction(rest: readonly string[], url: URL, body: Row): HttpAnswer {
    const id = url.searchParams.get('securityActionId')
    if (id !== null) {
      const name = `organizations/${rest[1]}/securityActions/${id}`
      this.#actions.set(id, { ...body, name })
      return { status: 200, body: { ...body, name } }
    }
    const disabled = (rest[3] ?? '').replace(/:disable$/, '')
    this.#actions.set(disabled, { ...this.#actions.get(disabled), state: 'DISABLED' })
    return { status: 200, body: {} }
  }

  #withEntries(body: Row): Row {
    const rows = listIn(body, 'keyValueEntries')
    for (const { name } of rows) this.#seen.add(String(name))
    const kept = rows.filter(({ name }) => !this.#entries.has(String(name)))
    const added = [...this.#entries].flatMap(([name, value]) => (value === null ? [] : [{ name, value }]))
    return { ...body, keyValueEntries: [...kept, ...(isLast(body) ? added : [])] }
  }

  #withActions(body: Row): Row {
    const known = new Set<string>()
    const rows = listIn(body, 'securityActions').map((row) => {
      const id = String(row.name).slice(String(row.name).lastIndexOf('/') + 1)
      known.add(id)
      return { ...row, ...this.#actions.get(id) }
    })
    const added = [...this.#actions].filter(([id, row]) => !known.has(id) && row.name !== undefined)
    return { ...body, securityActions: [...rows, ...(isLast(body) ? added.map(([, row]) => row) : [])] }
  }

  #withKeys(body: Row): Row {
    const app = listIn(body, 'app').map((row) => {
      if (!Array.isArray(row.credentials)) return row
      const credentials = row.credentials.filter(isRecord).map((one) => {
        const path = ['developers', row.developerId, 'apps', row.name, 'keys', one.consumerKey]
        const status = this.#statuses.get(keyOf(path.map(String)))
        return status === undefined ? one : { ...one, status }
      })
      return { ...row, credentials }
    })
    return { ...body, app }
  }
}

function keyOf(path: readonly string[]): string {
  return JSON.stringify(path)
}

function isLast({ nextPageToken }: Row): boolean {
  return nextPageToken === undefined || nextPageToken === ''
}

function listIn(body: Row, field: string): readonly Row[] {
  const rows = body[field]
  return Array.isArray(rows) ? rows.filter(isRecord) : []
}

function record(value: unknown): Row {
  return isRecord(value) ? value : {}
}
