import type { HttpRequest, ScriptedAnswer, ScriptedHttp } from './scripted-http.ts'
import { startScriptedHttp } from './scripted-http.ts'

export interface SlackFakeOptions {
  readonly token: string
  /** Channel id by name. */
  readonly channels: Readonly<Record<string, string>>
  /** Epoch ms; the rate limit of one message per second and channel is measured with it. Absent: no limit. */
  readonly now?: () => number
}

export interface SlackMessage {
  readonly channel: string
  readonly ts: string
  readonly threadTs: string | null
  payload: Record<string, unknown>
  edits: number
}

export interface SlackFake extends ScriptedHttp {
  readonly apiUrl: string
  readonly webhookUrl: string
  readonly messages: readonly SlackMessage[]
  delete(ts: string): void
}

type Answer = Exclude<ScriptedAnswer, string>
type Fields = Record<string, unknown>

const WEBHOOK_PATH = '/services/T00000000/B00000000/c2VjcmV0LXBhdGg'
const WEBHOOK_CHANNEL = 'C0WEBHOOK'

/** Speaks the parts of Slack that alerts use, and rejects what Slack rejects. */
export async function startSlackFake(options: SlackFakeOptions): Promise<SlackFake> {
  const workspace = new Workspace(options)
  const http = await startScriptedHttp((request) => workspace.answer(request))
  return {
    ...http,
    apiUrl: `${http.url}/api/`,
    webhookUrl: `${http.url}${WEBHOOK_PATH}`,
    messages: workspace.messages,
    delete: (ts) => {
      const index = workspace.messages.findIndex((message) => message.ts === ts)
      if (index >= 0) workspace.messages.splice(index, 1)
    },
  }
}

class Workspace {
  readonly messages: SlackMessage[] = []
  readonly #options: SlackFakeOptions
  readonly #lastPost = new Map<string, number>()
  #serial = 0

  constructor(options: SlackFakeOptions) {
    this.#options = options
  }

  answer(request: HttpRequest): Answer {
    if (request.method !== 'POST') return { status: 405 }
    if (request.path === WEBHOOK_PATH) return this.#webhook(request)
    const method = /^\/api\/([a-zA-Z.]+)$/.exec(request.path)?.[1]
    if (method === undefined) return { status: 404, body: 'no_service' }
    return this.#api(method, request)
  }

  #webhook(request: HttpRequest): Answer {
    const fields = jsonFields(request)
    if (fields === null) return { status: 400, body: 'invalid_payload' }
    const problem = slackProblem(fields)
    if (problem !== null) return { status: 400, body: problem }
    if (this.#limited(WEBHOOK_CHANNEL)) return limitedAnswer('rate_limited')
    this.#add(WEBHOOK_CHANNEL, fields)
    return { status: 200, body: 'ok' }
  }

  #api(method: string, request: HttpRequest): Answer {
    const type = request.headers['content-type'] ?? ''
    if (!/^application\/json(; *charset=utf-8)?$/i.test(type)) return refused('invalid_post_type')
    const authorization = request.headers.authorization
    if (authorization === undefined) return refused('not_authed')
    if (authorization !== `Bearer ${this.#options.token}`) return refused('invalid_auth')
    const fields = jsonFields(request)
    if (fields === null) return refused('invalid_json')
    const channel = this.#channel(fields.channel)
    if (channel === undefined) return refused('channel_not_found')
    const problem = slackProblem(fields)
    if (method === 'chat.postMessage')
      return problem === null ? this.#post(channel, fields) : refused(problem)
    if (method === 'chat.update') return problem === null ? this.#update(channel, fields) : refused(problem)
    return refused('unknown_method')
  }

  #channel(named: unknown): string | undefined {
    if (typeof named !== 'string') return undefined
    const ids = Object.values(this.#options.channels)
    return ids.includes(named) ? named : this.#options.channels[named.replace(/^#/, '')]
  }

  #post(channel: string, fields: Fields): Answer {
    const thread = fields.thread_ts
    if (thread !== undefined && !this.messages.some((message) => message.ts === thread)) {
      return refused('thread_not_found')
    }
    if (this.#limited(channel)) return limitedAnswer('{"ok":false,"error":"ratelimited"}')
    const { ts } = this.#add(channel, fields)
    return { status: 200, body: JSON.stringify({ ok: true, channel, ts }) }
  }

  #update(channel: string, fields: Fields): Answer {
    if (fields.channel !== channel) return refused('channel_not_found')
    const message = this.messages.find((known) => known.channel === channel && known.ts === fields.ts)
    if (message === undefined) return refused('message_not_found')
    message.payload = fields
    message.edits++
    return { status: 200, body: JSON.stringify({ ok: true, channel, ts: message.ts }) }
  }

  #add(channel: string, payload: Fields): SlackMessage {
    const ts = `1700000000.${String(++this.#serial).padStart(6, '0')}`
    const threadTs = typeof payload.thread_ts === 'string' ? payload.thread_ts : null
    const message = { channel, ts, threadTs, payload, edits: 0 }
    this.messages.push(message)
    return message
  }

  #limited(channel: string): boolean {
    const now = this.#options.now?.()
    if (now === undefined) return false
    if (now - (this.#lastPost.get(channel) ?? Number.NEGATIVE_INFINITY) < 1000) return true
    this.#lastPost.set(channel, now)
    return false
  }
}

function refused(error: string): Answer {
  return { status: 200, body: JSON.stringify({ ok: false, error }) }
}

function limitedAnswer(body: string): Answer {
  return { status: 429, headers: { 'retry-after': '1' }, body }
}

function jsonFields(request: HttpRequest): Fields | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(request.body)
    const value: unknown = JSON.parse(text)
    return isFields(value) ? value : null
  } catch {
    return null
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The error that Slack would answer to a message, or null. */
export function slackProblem(fields: Fields): string | null {
  const { text, blocks } = fields
  if (text === undefined && blocks === undefined) return 'no_text'
  if (text !== undefined && (typeof text !== 'string' || text.length > 40_000)) return 'msg_too_long'
  if (blocks === undefined) return null
  if (!Array.isArray(blocks) || blocks.length > 50) return 'invalid_blocks'
  return blocks.every(validBlock) ? null : 'invalid_blocks'
}

function validBlock(block: unknown): boolean {
  if (!isFields(block)) return false
  const { type, text, elements } = block
  switch (type) {
    case 'header':
      return isFields(text) && text.type === 'plain_text' && validText(text, 150)
    case 'section':
      return isFields(text) && validText(text, 3000)
    case 'divider':
      return true
    case 'context':
      return listOf(elements, 10, (element) => validText(element, 3000))
    case 'rich_text':
      return JSON.stringify(block).length <= 12_000 && listOf(elements, 50, validRich)
    default:
      return false
  }
}

function validText(value: unknown, max: number): boolean {
  if (!isFields(value) || typeof value.text !== 'string') return false
  if (value.type === 'mrkdwn' && value.emoji !== undefined) return false
  return (
    (value.type === 'plain_text' || value.type === 'mrkdwn') &&
    value.text.length > 0 &&
    value.text.length <= max
  )
}

function validRich(element: unknown): boolean {
  if (!isFields(element)) return false
  if (element.type === 'rich_text_section') return listOf(element.elements, 200, validLeaf)
  if (element.type !== 'rich_text_list') return false
  return (
    (element.style === 'bullet' || element.style === 'ordered') && listOf(element.elements, 200, validRich)
  )
}

function validLeaf(leaf: unknown): boolean {
  if (!isFields(leaf)) return false
  const { type, text, url } = leaf
  if (type === 'text') return typeof text === 'string' && text.length > 0 && text.length <= 3000
  return type === 'link' && typeof url === 'string' && /^https?:/.test(url) && url.length <= 3000
}

function listOf(value: unknown, max: number, valid: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.length <= max && value.every(valid)
}
