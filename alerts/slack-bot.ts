import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { inert, withoutLinks } from './log-text.ts'
import { digestText, messageText, plainLine } from './message-text.ts'
import type { PostAnswer } from './post.ts'
import { answerError, channelUrl, DEFAULT_TIMEOUT_MS, post } from './post.ts'
import type { AlertDigest, AlertMessage, AlertSink } from './sink.ts'
import {
  digestPayload,
  MAX_DIGEST_ENTRIES,
  MAX_TEXT_LENGTH,
  messagePayload,
  slackText,
} from './slack-blocks.ts'

export interface SlackBotOptions {
  /** Name in the configuration; unique. */
  readonly name: string
  /** Bot token with the scope `chat:write`. A secret. */
  readonly token: string
  /** Channel id or name that the bot is a member of. */
  readonly channel: string
  readonly clock: Clock
  /** Default `https://slack.com/api/`. */
  readonly baseUrl?: string
  readonly timeoutMs?: number
  /** An edit notifies nobody, so an escalation is also answered in the message's thread. Default true. */
  readonly replyOnEscalation?: boolean
}

/** Where a message stands, and the last alert that its thread was told of. */
interface Place {
  readonly channel: string
  readonly ts: string
  readonly told: string
}

/** Answers that mean "later"; every other `ok: false` means "never like this". */
const RETRIABLE: ReadonlySet<string> = new Set([
  'ratelimited',
  'rate_limited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
])

/** The message is gone or may no longer be edited: a new one takes its place. */
const NOT_EDITABLE: ReadonlySet<string> = new Set([
  'message_not_found',
  'cant_update_message',
  'edit_window_closed',
  'thread_not_found',
])

/** Slack with a bot token: one message per incident, edited when the incident or its decisions change. */
export function createSlackBot(options: SlackBotOptions): AlertSink {
  const api = channelUrl(`slack base URL of ${options.name}`, options.baseUrl ?? 'https://slack.com/api/')
  if (!api.pathname.endsWith('/')) api.pathname += '/'
  if (!/^[\x21-\x7e]{1,512}$/.test(options.token)) {
    throw new CurfewError(
      'CONFIG_INVALID',
      `the Slack token of ${options.name} must be printable ASCII without spaces`,
    )
  }
  if (!/^[^\s<>&\p{C}]{1,80}$/u.test(options.channel)) {
    throw new CurfewError('CONFIG_INVALID', `no Slack channel: ${inert(options.channel, 80)}`)
  }
  return new SlackBot(options, api)
}

class SlackBot implements AlertSink {
  readonly name: string
  readonly #options: SlackBotOptions
  readonly #api: URL

  constructor(options: SlackBotOptions, api: URL) {
    this.name = options.name
    this.#options = options
    this.#api = api
  }

  async deliver(message: AlertMessage, handle: string | null, stop: AbortSignal): Promise<string | null> {
    const known = placeOf(handle)
    const place = known === null ? null : await this.#edit(message, known, stop)
    return JSON.stringify(place ?? (await this.#postNew(message, stop)))
  }

  async deliverDigest(digest: AlertDigest, stop: AbortSignal): Promise<void> {
    const payload = digestPayload(digestText(digest, MAX_DIGEST_ENTRIES))
    await this.#call('chat.postMessage', { channel: this.#options.channel, ...payload }, stop)
  }

  async #postNew(message: AlertMessage, stop: AbortSignal): Promise<Place> {
    const payload = messagePayload(messageText(message))
    const answer = await this.#call('chat.postMessage', { channel: this.#options.channel, ...payload }, stop)
    const { channel, ts } = answer
    if (typeof channel !== 'string' || typeof ts !== 'string') {
      throw new CurfewError('SINK_REFUSED', `Slack (${this.name}) did not say where the message is`)
    }
    return { channel, ts, told: message.id }
  }

  /** Null when the message cannot be edited any more. */
  async #edit(message: AlertMessage, place: Place, stop: AbortSignal): Promise<Place | null> {
    const text = messageText(message)
    try {
      await this.#call('chat.update', { channel: place.channel, ts: place.ts, ...messagePayload(text) }, stop)
      const news = message.alert.transition === 'escalated' && place.told !== message.id
      if (news && (this.#options.replyOnEscalation ?? true)) {
        const reply = slackText(withoutLinks(plainLine(text.title)), MAX_TEXT_LENGTH)
        const blocks = [{ type: 'section', text: { type: 'plain_text', text: reply, emoji: false } }]
        const thread = { channel: place.channel, thread_ts: place.ts, text: reply, blocks, mrkdwn: false }
        await this.#call('chat.postMessage', { ...thread, unfurl_links: false, unfurl_media: false }, stop)
      }
      return { ...place, told: message.id }
    } catch (error) {
      if (error instanceof SlackRefusal && NOT_EDITABLE.has(error.answer)) return null
      throw error
    }
  }

  async #call(method: string, fields: object, stop: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const target = `Slack (${this.name})`
    const answer = await post(
      {
        url: new URL(method, this.#api),
        target,
        headers: {
          authorization: `Bearer ${this.#options.token}`,
          'content-type': 'application/json; charset=utf-8',
        },
        // Without these two Slack would look for links, channels and people in the text.
        body: JSON.stringify({ ...fields, parse: 'none', link_names: false }),
        timeoutMs: this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        clock: this.#options.clock,
      },
      stop,
    )
    return checked(target, answer)
  }
}

/** Slack said no, with its own word for why. */
class SlackRefusal extends CurfewError {
  readonly answer: string

  constructor(target: string, answer: string) {
    super('SINK_REFUSED', `${target} refused the message: ${inert(answer, 80)}`)
    this.answer = answer
  }
}

function checked(target: string, answer: PostAnswer): Readonly<Record<string, unknown>> {
  if (answer.status !== 200) throw answerError(target, answer)
  const body = parsed(answer.text)
  if (body?.ok === true) return body
  const error = body?.error
  if (typeof error === 'string' && !RETRIABLE.has(error)) throw new SlackRefusal(target, error)
  const why = typeof error === 'string' ? error : 'an answer that is not JSON'
  throw new CurfewError('SINK_UNREACHABLE', `${target} answered ${why}`, {
    retriable: true,
    ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }),
  })
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function placeOf(handle: string | null): Place | null {
  const value = handle === null ? null : parsed(handle)
  if (value === null) return null
  const { channel, ts, told } = value
  if (typeof channel !== 'string' || typeof ts !== 'string') return null
  return { channel, ts, told: typeof told === 'string' ? told : '' }
}
