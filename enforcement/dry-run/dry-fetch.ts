import { boundedText } from '../gateways/bounded-answer.ts'
import type { Recorder } from './recorder.ts'

/** A request as an adapter makes it. */
export interface HttpAsked {
  readonly method: string
  readonly url: URL
  /** Parts of the path, decoded. */
  readonly path: readonly string[]
  /** Parsed JSON, text of any other type, null for none. */
  readonly body: unknown
}

/** An answer in JSON; a body of null is empty. */
export interface HttpAnswer {
  readonly status: number
  readonly body: unknown
}

/**
 * A control plane that believes what a dry run tells it: writes are answered as the real one would, and what is read
 * afterwards shows them.
 */
export interface HttpPlane {
  /** Whether a request is known to change nothing. Whatever is not known to be a read is not sent. */
  isRead(asked: HttpAsked): boolean
  /** What the control plane answered, with the writes so far in it. `date` is the server's own time, epoch ms, or NaN. */
  read(asked: HttpAsked, answer: HttpAnswer, date: number): HttpAnswer
  write(asked: HttpAsked): HttpAnswer
  /** What a control plane without anything in it would answer to a read. */
  offline(asked: HttpAsked): HttpAnswer
  /** An address without what is secret in it. */
  shownUrl?(url: URL): string
  /** Parsed JSON of a body without what is secret in it, beyond what is secret by the name of its field. */
  shownBody?(body: unknown): unknown
}

const MAX_ANSWER_BYTES = 32 * 1_048_576
const EMPTY_STATUSES: readonly number[] = [204, 205, 304]

/** `fetch` for a dry run: reads go through `real` unless it is offline, writes are recorded and answered by `plane`. */
export function dryFetch(recorder: Recorder, plane: HttpPlane, real: typeof fetch): typeof fetch {
  return async (input, init = {}) => {
    const request = new Request(input instanceof Request ? input.url : input, {
      method: init.method ?? 'GET',
      headers: init.headers ?? {},
    })
    const url = new URL(request.url)
    const text = typeof init.body === 'string' ? init.body : null
    const type = request.headers.get('content-type') ?? ''
    const asked: HttpAsked = {
      method: request.method,
      url,
      path: url.pathname
        .split('/')
        .filter((part) => part !== '')
        .map(decodeURIComponent),
      body: text !== null && type.includes('json') ? JSON.parse(text) : text,
    }
    const isRead = plane.isRead(asked)
    recorder.add({
      kind: 'http',
      ...recorder.mark(isRead),
      method: asked.method,
      url: recorder.mask.url(plane.shownUrl?.(url) ?? url.href),
      headers: recorder.mask.headers(request.headers),
      ...bodyOf(recorder, shownText(plane, asked, text), type),
    })
    if (!isRead) return responseOf(plane.write(asked), Number.NaN)
    if (recorder.offline) return responseOf(plane.read(asked, plane.offline(asked), Number.NaN), Number.NaN)
    return through(await real(input, init), (answer, date) => plane.read(asked, answer, date))
  }
}

function shownText(plane: HttpPlane, { body }: HttpAsked, text: string | null): string | null {
  const isJson = typeof body === 'object' && body !== null
  return isJson && plane.shownBody !== undefined ? JSON.stringify(plane.shownBody(body)) : text
}

async function through(
  answer: Response,
  see: (answer: HttpAnswer, date: number) => HttpAnswer,
): Promise<Response> {
  const text = await boundedText(answer, MAX_ANSWER_BYTES)
  const { status, headers } = answer
  const raw = () => new Response(EMPTY_STATUSES.includes(status) ? null : text, { status, headers })
  let body: unknown
  try {
    body = text.trim() === '' ? null : JSON.parse(text)
  } catch {
    return raw()
  }
  const date = Date.parse(headers.get('date') ?? '')
  const seen = see({ status, body }, date)
  return seen.status === status && seen.body === body ? raw() : responseOf(seen, date)
}

function responseOf({ status, body }: HttpAnswer, date: number): Response {
  const text = EMPTY_STATUSES.includes(status) || body === null ? null : JSON.stringify(body)
  const headers = Number.isFinite(date) ? { date: new Date(date).toUTCString() } : {}
  return new Response(text, { status, headers })
}

function bodyOf(recorder: Recorder, text: string | null, type: string) {
  if (text === null) return { body: null }
  if (!type.startsWith('application/secevent+jwt')) return { body: recorder.mask.body(text, type) }
  // Whoever has a whole signed event can deliver it: the signature is what makes it one.
  const [header = '', claims = ''] = text.split('.')
  return {
    body: `${header}.${claims}.***`,
    event: { header: decoded(header), claims: recorder.mask.value(decoded(claims)) },
  }
}

function decoded(part: string): unknown {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
}
