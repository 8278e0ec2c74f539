import { isRecord } from '../gateways/answer-shape.ts'
import { tykKeyId } from '../gateways/tyk-client.ts'
import { OWNER_FIELD } from '../gateways/tyk-marks.ts'
import type { HttpAnswer, HttpAsked, HttpPlane } from './dry-fetch.ts'
import { HIDDEN } from './mask.ts'
import type { Recorder } from './recorder.ts'

type Row = Readonly<Record<string, unknown>>

/** Fields of a session that rules of ours are put into. A session is written whole, so the others are hidden. */
const SHOWN: readonly string[] = ['rate', 'per', 'is_inactive', 'access_rights']

/** Tyk's gateway API, as far as keys go. Where they are not hashed, their names are the keys themselves. */
export class TykPlane implements HttpPlane {
  readonly #recorder: Recorder
  /** Sessions as they were written, by name of the key. */
  readonly #written = new Map<string, Row>()

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  isRead({ method }: HttpAsked): boolean {
    return method === 'GET'
  }

  read(asked: HttpAsked, answer: HttpAnswer): HttpAnswer {
    const session = this.#written.get(keyOf(asked) ?? '')
    return session === undefined ? answer : { status: 200, body: session }
  }

  write(asked: HttpAsked): HttpAnswer {
    const key = keyOf(asked) ?? ''
    if (isRecord(asked.body)) this.#written.set(key, asked.body)
    return { status: 200, body: { key, status: 'ok', action: 'modified' } }
  }

  /** The names of keys are not known offline, and a decision knows hashes of names only. */
  offline(asked: HttpAsked): HttpAnswer {
    if (asked.path.at(-1) === 'hello')
      return { status: 200, body: { status: 'pass', details: { redis: { status: 'pass' } } } }
    this.#recorder.note('offline: which key is meant is not known, as only Tyk has their names')
    return { status: 200, body: { keys: [] } }
  }

  shownUrl(url: URL): string {
    const [before, key, after] = /^(.*\/tyk\/keys\/)([^/?]+)(.*)$/.exec(url.href)?.slice(1) ?? []
    return key === undefined ? url.href : `${before}${tykKeyId(decodeURIComponent(key))}${after}`
  }

  shownBody(body: unknown): unknown {
    if (!isRecord(body)) return body
    return Object.fromEntries(Object.entries(body).map(([field, value]) => [field, shown(field, value)]))
  }
}

function shown(field: string, value: unknown): unknown {
  if (field !== 'meta_data' || !isRecord(value)) return SHOWN.includes(field) ? value : HIDDEN
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, name === OWNER_FIELD ? inner : HIDDEN]),
  )
}

/** The name of the key that is asked for, wherever the server's own path begins. */
function keyOf({ path }: HttpAsked): string | undefined {
  return path[path.findIndex((part, i) => part === 'tyk' && path[i + 1] === 'keys') + 2]
}
