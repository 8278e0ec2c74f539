import { isRecord, isTexts } from '../gateways/answer-shape.ts'
import { OWNER_TAG } from '../gateways/kong-marks.ts'
import type { HttpAnswer, HttpAsked, HttpPlane } from './dry-fetch.ts'

type Row = Readonly<Record<string, unknown>>

const ABSENT: HttpAnswer = { status: 404, body: { message: 'Not found' } }

/** Kong's admin API, and that of Konnect, as far as plugins go. */
export class KongPlane implements HttpPlane {
  /** What was written; null for a plugin that was deleted. */
  readonly #written = new Map<string, Row | null>()
  /** What was read, for changes of single fields. */
  readonly #seen = new Map<string, Row>()
  readonly #loaded: () => string | null

  /** `loaded` gives the declarative file that would have been loaded by now; null where none was written. */
  constructor(loaded: () => string | null = () => null) {
    this.#loaded = loaded
  }

  isRead({ method }: HttpAsked): boolean {
    return method === 'GET'
  }

  read(asked: HttpAsked, answer: HttpAnswer): HttpAnswer {
    const id = pluginOf(asked)
    if (id !== null) {
      if (answer.status === 200 && isRecord(answer.body)) this.#seen.set(id, answer.body)
      const row = this.#written.get(id)
      return row === undefined ? answer : row === null ? ABSENT : { status: 200, body: row }
    }
    if (answer.status !== 200 || !isRecord(answer.body) || !Array.isArray(answer.body.data)) return answer
    const rows = answer.body.data.filter(isRecord)
    for (const row of rows) if (typeof row.id === 'string') this.#seen.set(row.id, row)
    const file = this.#loaded()
    if (file !== null) {
      const ids = new Set(
        (JSON.parse(file) as { readonly plugins: readonly Row[] }).plugins.map(({ id }) => id),
      )
      const kept = rows.filter((row) => !tagsOf(row).includes(OWNER_TAG) || ids.has(row.id))
      return { status: 200, body: { ...answer.body, data: kept } }
    }
    return this.#written.size === 0 ? answer : { status: 200, body: this.#page(asked, answer.body, rows) }
  }

  write({ method, path, body }: HttpAsked): HttpAnswer {
    const id = path.at(-1) ?? ''
    const given = isRecord(body) ? body : {}
    if (method === 'DELETE') {
      this.#written.set(id, null)
      return { status: 204, body: null }
    }
    const before = method === 'PATCH' ? (this.#written.get(id) ?? this.#seen.get(id)) : undefined
    if (method === 'PATCH' && before === undefined) return ABSENT
    const config = { ...record(before?.config), ...record(given.config) }
    const row = { ...before, ...given, id, config }
    this.#written.set(id, row)
    return { status: 200, body: row }
  }

  offline(asked: HttpAsked): HttpAnswer {
    if (pluginOf(asked) !== null) return ABSENT
    if (asked.path.at(-1) === 'plugins') return { status: 200, body: { data: [], next: null } }
    return { status: 200, body: { configuration: { database: 'postgres', role: 'traditional' } } }
  }

  #page({ url }: HttpAsked, body: Row, rows: readonly Row[]): Row {
    const tag = url.searchParams.get('tags')
    const kept = rows.filter(({ id }) => !this.#written.has(String(id)))
    const isLast = body.next === null || body.next === undefined
    const ours = isLast ? [...this.#written.values()] : []
    const added = ours.filter((row) => row !== null && (tag === null || tagsOf(row).includes(tag)))
    return { ...body, data: [...kept, ...added] }
  }
}

/** The plugin that an address names; null for one that names none. */
function pluginOf({ path }: HttpAsked): string | null {
  return path.at(-2) === 'plugins' ? (path.at(-1) ?? null) : null
}

function tagsOf({ tags }: Row): readonly string[] {
  return isTexts(tags) ? tags : []
}

function record(value: unknown): Row {
  return isRecord(value) ? value : {}
}
