import type {
  ChannelView,
  DecisionView,
  IncidentView,
  Page,
  ReadinessCheck,
} from '../../engine/control-plane.ts'
import type { AdminClient } from '../admin-client.ts'

/** How a running Curfew says it is. */
export interface CurfewStatus {
  readonly checks: readonly ReadinessCheck[]
  readonly channels: readonly ChannelView[]
}

const STANDING: ReadonlySet<string> = new Set(['pending', 'in-force', 'failed', 'awaiting-approval'])

/** What the drill asks a running Curfew about its canary. */
export class CurfewAnswers {
  readonly #ask: AdminClient
  readonly #tenant: string
  readonly #principal: string

  constructor(ask: AdminClient, tenant: string, principal: string) {
    this.#ask = ask
    this.#tenant = tenant
    this.#principal = principal
  }

  /** Null when it does not answer as it should. */
  async status(): Promise<CurfewStatus | null> {
    return this.#get<CurfewStatus>('/v1/status').catch(() => null)
  }

  /** The open incident of the canary, or null. */
  async incident(): Promise<IncidentView | null> {
    const query = new URLSearchParams({
      state: 'open',
      entity: this.#principal,
      tenant: this.#tenant,
      limit: '1',
    })
    const { items } = await this.#get<Page<IncidentView>>(`/v1/incidents?${query}`)
    return items[0] ?? null
  }

  /** Decisions about the canary among the newest. */
  async decisions(): Promise<readonly DecisionView[]> {
    const query = new URLSearchParams({ tenant: this.#tenant, limit: '100' })
    const { items } = await this.#get<Page<DecisionView>>(`/v1/decisions?${query}`)
    return items.filter(({ decision }) => decision.entity.id === this.#principal)
  }

  /** Lifts what stands about the canary; how many decisions that were. Throws when one cannot be lifted. */
  async release(reason: string): Promise<number> {
    const standing = (await this.decisions()).filter(({ status }) => STANDING.has(status))
    for (const { decision } of standing) {
      const { status } = await this.#ask(`/v1/decisions/${decision.id}/release`, { reason })
      // 409: a stronger one that was lifted before took it along.
      if (status !== 200 && status !== 409) throw new Error(`${decision.id} is not lifted: status ${status}`)
    }
    return standing.length
  }

  /** Closes the canary's incident without learning from it. */
  async close(reason: string): Promise<void> {
    const incident = await this.incident()
    if (incident === null) return
    const { status } = await this.#ask(`/v1/incidents/${incident.id}/close`, { verdict: 'dismiss', reason })
    if (status !== 200 && status !== 409) throw new Error(`${incident.id} is not closed: status ${status}`)
  }

  async #get<T>(path: string): Promise<T> {
    const { status, body } = await this.#ask(path)
    if (status !== 200) throw new Error(`the admin API answers ${status} to ${path.split('?')[0]}`)
    return body as T
  }
}
