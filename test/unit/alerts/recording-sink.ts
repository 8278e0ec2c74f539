import type { AlertDigest, AlertMessage, AlertSink } from '../../../alerts/sink.ts'
import { CurfewError } from '../../../core/errors.ts'

export interface Recorded {
  readonly kind: 'message' | 'digest'
  readonly id: string
  readonly at: number
  readonly ids: readonly string[]
  readonly transition: string
  readonly handle: string | null
  readonly statuses: readonly string[]
  readonly omitted: number
}

/** Writes down what it is given and fails as it is told. */
export class RecordingSink implements AlertSink {
  readonly name: string
  readonly sent: Recorded[] = []
  /** Called before each delivery; what it throws is the sink's failure. */
  before: (id: string) => void | Promise<void> = () => undefined
  readonly #now: () => number
  readonly #canEdit: boolean

  constructor(name: string, now: () => number, canEdit = false) {
    this.name = name
    this.#now = now
    this.#canEdit = canEdit
  }

  async deliver(message: AlertMessage, handle: string | null, stop: AbortSignal): Promise<string | null> {
    if (stop.aborted) throw new CurfewError('ABORTED', 'stopped')
    await this.before(message.id)
    const { id, alert, decisions } = message
    const statuses = decisions.map(({ status }) => status)
    const common = { id, at: this.#now(), ids: [id], handle, statuses, omitted: 0 }
    this.sent.push({ kind: 'message', transition: alert.transition, ...common })
    return this.#canEdit ? (handle ?? `at-${id}`) : null
  }

  async deliverDigest(digest: AlertDigest, stop: AbortSignal): Promise<void> {
    if (stop.aborted) throw new CurfewError('ABORTED', 'stopped')
    await this.before(digest.id)
    const { id, alerts, omitted } = digest
    const ids = alerts.map((alert) => alert.id)
    const common = { id, at: this.#now(), ids, handle: null, statuses: [], omitted }
    this.sent.push({ kind: 'digest', transition: 'digest', ...common })
  }
}

export function unreachable(retryAfterMs?: number): CurfewError {
  const told = retryAfterMs === undefined ? {} : { retryAfterMs }
  return new CurfewError('SINK_UNREACHABLE', 'cannot be reached', { retriable: true, ...told })
}
