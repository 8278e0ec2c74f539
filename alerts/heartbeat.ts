import { idOf } from '../core/hash.ts'
import { type Clock, isoTime } from '../core/time.ts'
import { asciiJson } from './log-text.ts'
import { answerError, channelUrl, DEFAULT_TIMEOUT_MS, post } from './post.ts'
import { signature, signingKeys } from './webhook-signature.ts'

export interface HeartbeatOptions {
  readonly url: string
  /** `whsec_<base64>` secrets; without any, heartbeats are not signed. */
  readonly secrets: readonly string[]
  readonly clock: Clock
}

/** Sends one heartbeat; throws `SINK_UNREACHABLE` or `SINK_REFUSED` when it was not taken. */
export type Heartbeat = (lastJudged: number, lagMs: number, stop: AbortSignal) => Promise<void>

/**
 * The dead-man switch: a POST that says up to when calls were judged. Whoever receives it raises the alarm when
 * none comes, because a process that is stopped cannot say so.
 */
export function createHeartbeat(options: HeartbeatOptions): Heartbeat {
  const url = channelUrl('alerts.heartbeat.url', options.url)
  const keys = options.secrets.length === 0 ? [] : signingKeys('heartbeat', options.secrets)
  return async (lastJudged, lagMs, stop) => {
    const now = options.clock.now()
    const timestamp = Math.floor(now / 1000)
    const id = idOf('beat', lastJudged, now)
    const data = { lastJudged: isoTime(lastJudged), lagSeconds: Math.round(lagMs / 1000) }
    const body = asciiJson({ type: 'curfew.heartbeat', timestamp: isoTime(now), data })
    const signed =
      keys.length === 0
        ? {}
        : {
            'webhook-id': id,
            'webhook-timestamp': String(timestamp),
            'webhook-signature': signature(keys, id, timestamp, body),
          }
    const headers = { 'content-type': 'application/json', ...signed }
    const target = 'heartbeat'
    const { clock } = options
    const answer = await post({ url, target, headers, body, timeoutMs: DEFAULT_TIMEOUT_MS, clock }, stop)
    if (answer.status < 200 || answer.status >= 300) throw answerError(target, answer)
  }
}
