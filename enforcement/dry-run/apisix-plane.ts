import { isRecord } from '../gateways/answer-shape.ts'
import type { HttpAnswer, HttpAsked, HttpPlane } from './dry-fetch.ts'
import { HIDDEN } from './mask.ts'
import type { Recorder } from './recorder.ts'

type Row = Readonly<Record<string, unknown>>

/** Plugins whose fields are shown: those that rules of ours are put into. */
const SHOWN: readonly string[] = ['limit-count', 'consumer-restriction']

/** APISIX's Admin API, as far as consumers go. They are written whole, so what is shown has their credentials hidden. */
export class ApisixPlane implements HttpPlane {
  readonly #recorder: Recorder
  /** What was written, as APISIX would list it, by username. */
  readonly #written = new Map<string, Row>()
  /** Above every revision that an etcd has come to. */
  #revision = Number.MAX_SAFE_INTEGER - 1_000_000

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  isRead({ method }: HttpAsked): boolean {
    return method === 'GET'
  }

  read(asked: HttpAsked, answer: HttpAnswer): HttpAnswer {
    const [kind, name] = below(asked)
    if (kind !== 'consumers' || answer.status !== 200) return answer
    if (name !== undefined) {
      const row = this.#written.get(name)
      return row === undefined ? answer : { status: 200, body: row }
    }
    const { body } = answer
    if (!isRecord(body) || this.#written.size === 0) return answer
    const label = asked.url.searchParams.get('label')
    const rows = (Array.isArray(body.list) ? body.list : []).filter((row) => !this.#written.has(nameOf(row)))
    const ours = [...this.#written.values()].filter((row) => label === null || hasLabel(row, label))
    return { status: 200, body: { ...body, list: [...rows, ...ours], total: rows.length + ours.length } }
  }

  write({ body }: HttpAsked): HttpAnswer {
    const value = isRecord(body) ? body : {}
    const username = String(value.username)
    const row = { key: `/apisix/consumers/${username}`, value, modifiedIndex: ++this.#revision }
    this.#written.set(username, row)
    return { status: 200, body: row }
  }

  offline(asked: HttpAsked): HttpAnswer {
    const [kind, username] = below(asked)
    if (kind !== 'consumers' || username === undefined) return { status: 200, body: { list: [], total: 0 } }
    this.#recorder.note('offline: the consumer counts as one without credentials, plugins and group')
    return { status: 200, body: { value: { username }, modifiedIndex: 1 } }
  }

  shownBody(body: unknown): unknown {
    if (!isRecord(body) || !isRecord(body.plugins)) return body
    const plugins = Object.entries(body.plugins).map(([name, conf]) => [
      name,
      SHOWN.includes(name) ? conf : HIDDEN,
    ])
    return { ...body, plugins: Object.fromEntries(plugins) }
  }
}

/** What follows `apisix/admin`, wherever the server's own path begins. */
function below({ path }: HttpAsked): readonly string[] {
  return path.slice(path.findIndex((part, i) => part === 'apisix' && path[i + 1] === 'admin') + 2)
}

function nameOf(row: unknown): string {
  const value = isRecord(row) ? row.value : undefined
  return isRecord(value) ? String(value.username) : ''
}

function hasLabel({ value }: Row, label: string): boolean {
  const labels = isRecord(value) ? value.labels : undefined
  return isRecord(labels) && Object.hasOwn(labels, label)
}
