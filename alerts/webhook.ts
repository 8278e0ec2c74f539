import { CurfewError } from '../core/errors.ts'
import { idOf } from '../core/hash.ts'
import type { Clock } from '../core/time.ts'
import { answerError, channelUrl, DEFAULT_TIMEOUT_MS, post } from './post.ts'
import type { AlertSink } from './sink.ts'
import { digestBody, messageBody } from './webhook-body.ts'
import { signature, signingKeys } from './webhook-signature.ts'

export interface WebhookOptions {
  /** Name in the configuration; unique. */
  readonly name: string
  /** May contain a secret, so it is never logged. */
  readonly url: string
  /** `whsec_<base64>`, current one first; several while they are rotated. */
  readonly secrets: readonly string[]
  readonly clock: Clock
  readonly timeoutMs?: number
}

/**
 * Signed webhooks after the Standard Webhooks specification. Any 2xx is success; 410 switches the endpoint
 * off for the life of this object (`SINK_REFUSED` without a call); redirects are not followed.
 */
export function createWebhook(options: WebhookOptions): AlertSink {
  const url = channelUrl(`the address of webhook ${options.name}`, options.url)
  const keys = signingKeys(options.name, options.secrets)
  const target = `webhook ${options.name}`
  let gone = false

  const send = async (id: string, body: string, stop: AbortSignal): Promise<void> => {
    if (gone) throw new CurfewError('SINK_REFUSED', `${target} is switched off: it answered 410 before`)
    const timestamp = Math.floor(options.clock.now() / 1000)
    const answer = await post(
      {
        url,
        target,
        headers: {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': String(timestamp),
          'webhook-signature': signature(keys, id, timestamp, body),
        },
        body,
        timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        clock: options.clock,
      },
      stop,
    )
    if (answer.status >= 200 && answer.status < 300) return
    if (answer.status !== 410) throw answerError(target, answer)
    gone = true
    throw new CurfewError('SINK_REFUSED', `${target} answered 410: the endpoint is switched off`)
  }

  return {
    name: options.name,
    async deliver(message, _handle, stop) {
      await send(headerId(message.id), messageBody(message), stop)
      return null
    },
    async deliverDigest(digest, stop) {
      await send(headerId(digest.id), digestBody(digest), stop)
    },
  }
}

/** The id as a header value; a dot would make the signed text ambiguous, other signs could end the header. */
function headerId(id: string): string {
  return /^[A-Za-z0-9_-]{1,64}$/.test(id) ? id : idOf('message', id)
}
