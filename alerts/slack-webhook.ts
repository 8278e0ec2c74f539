import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { digestText, messageText } from './message-text.ts'
import { answerError, channelUrl, DEFAULT_TIMEOUT_MS, post } from './post.ts'
import type { AlertSink } from './sink.ts'
import type { SlackPayload } from './slack-blocks.ts'
import { digestPayload, MAX_DIGEST_ENTRIES, messagePayload } from './slack-blocks.ts'

export interface SlackWebhookOptions {
  /** Name in the configuration; unique. */
  readonly name: string
  /** The incoming webhook's address. A secret: whoever has it can post. */
  readonly url: string
  readonly clock: Clock
  readonly timeoutMs?: number
}

/** Answers after which the same call cannot succeed until somebody changes the webhook or the channel. */
const FINAL_STATUS: ReadonlySet<number> = new Set([403, 404, 410])

/** Slack through an incoming webhook, which cannot edit: a message each for opened, escalated and resolved. */
export function createSlackWebhook(options: SlackWebhookOptions): AlertSink {
  const url = channelUrl(`the Slack webhook of ${options.name}`, options.url)
  const target = `Slack webhook (${options.name})`
  const send = async (payload: SlackPayload, stop: AbortSignal): Promise<void> => {
    const answer = await post(
      {
        url,
        target,
        headers: { 'content-type': 'application/json; charset=utf-8' },
        body: JSON.stringify(payload),
        timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        clock: options.clock,
      },
      stop,
    )
    if (answer.status === 200) return
    const error = answerError(target, answer)
    throw FINAL_STATUS.has(answer.status) ? new CurfewError('SINK_REFUSED', error.message) : error
  }
  return {
    name: options.name,
    async deliver(message, _handle, stop) {
      await send(messagePayload(messageText(message)), stop)
      return null
    },
    async deliverDigest(digest, stop) {
      await send(digestPayload(digestText(digest, MAX_DIGEST_ENTRIES)), stop)
    },
  }
}
