import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import { busy, isBusy, jsonIn, type Reply, replyTo } from './control-plane-call.ts'

export interface EventReceiverOptions {
  /** Name of the gateway in the configuration, for messages. */
  readonly name: string
  readonly url: URL
  /** Sent as `Authorization: Bearer`; null for none. */
  readonly token: string | null
  readonly timeoutMs: number
  readonly fetch: typeof fetch
}

const MAX_ANSWER_BYTES = 65_536

/** Error codes of RFC 8935 section 2.4. */
const ERRORS: readonly string[] = [
  'invalid_request',
  'invalid_key',
  'invalid_issuer',
  'invalid_audience',
  'authentication_failed',
  'access_denied',
]

/** Where Security Event Tokens are pushed to (RFC 8935). Every failure is a {@link CurfewError}. */
export class EventReceiver {
  private readonly options: EventReceiverOptions

  constructor(options: EventReceiverOptions) {
    this.options = options
  }

  /**
   * Delivered once resolved: nothing but 202 says so. A 400 is told with the receiver's error code and is not worth
   * repeating; trouble of the network and of servers is.
   */
  async push(token: string, stop: AbortSignal): Promise<void> {
    const headers = { 'content-type': 'application/secevent+jwt', accept: 'application/json' }
    const reply = await this.send({ method: 'POST', headers, body: token }, stop)
    const { status, text } = reply
    if (status === 202) return
    const what = `${this.options.name}: the receiver answered ${status}`
    if (status === 408 || isBusy(status)) throw busy(what, reply)
    if (status === 409) throw new CurfewError('GATEWAY_CONFLICT', what, { retriable: true })
    // A page that answers 200 to everything has not taken an event.
    if (status >= 200 && status < 300)
      throw new CurfewError('GATEWAY_UNREACHABLE', `${what} instead of 202`, { retriable: true })
    throw new CurfewError('GATEWAY_REFUSED', `${what}: ${errorIn(text)}`)
  }

  /** Throws unless a server answers there; no event is sent. */
  async reach(stop: AbortSignal): Promise<void> {
    const { status } = await this.send({ method: 'OPTIONS' }, stop)
    if (status >= 500)
      throw new CurfewError('GATEWAY_UNREACHABLE', `${this.options.name}: the receiver answered ${status}`, {
        retriable: true,
      })
  }

  private send(
    init: { readonly method: string; readonly headers?: Record<string, string>; readonly body?: string },
    stop: AbortSignal,
  ): Promise<Reply> {
    const { name, url, token, timeoutMs } = this.options
    const headers = { ...init.headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) }
    const send = (signal: AbortSignal) =>
      this.options.fetch(url, { ...init, headers, signal, redirect: 'error' })
    return replyTo({ name, from: 'the receiver', timeoutMs, maxBytes: MAX_ANSWER_BYTES, send }, stop)
  }
}

/** What a receiver said is wrong, in the words of the standard; its own are cut and escaped. */
function errorIn(text: string): string {
  const said = jsonIn(text)
  if (!isRecord(said) || typeof said.err !== 'string') return 'no reason given'
  const code = ERRORS.includes(said.err) ? said.err : JSON.stringify(said.err.slice(0, 40))
  return typeof said.description === 'string'
    ? `${code} ${JSON.stringify(said.description.slice(0, 80))}`
    : code
}
