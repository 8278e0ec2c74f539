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

  /** Lifts what stands about the canary; the incidents that it belonged to. Throws when something cannot be lifted. */
  async release(reason: string): Promise<readonly string[]> {
    const standing = (await this.decisions()).filter(({ status }) => STANDING.has(status))
    for (const { decision } of standing) {
      const { status } = await this.#ask(`/v1/decisions/${decision.id}/release`, { reason })
      // 409: a stronger one that was lifted before took it along.
      if (status !== 200 && status !== 409) throw new Error(`${decision.id} is not lifted: status ${status}`)
    }
    return standing.map(({ decision }) => decision.incident)
  }

  /**
   * Whether the canary's incident and these others are closed; closes them, without learning, while they are not. A
   * decision may show before its incident does, and an incident that stays open decides nothing again.
   */
  async closed(reason: string, incidents: readonly string[] = []): Promise<boolean> {
    const open = await this.incident()
    const ids = new Set(open === null ? incidents : [...incidents, open.id])
    let all = true
    for (const id of ids) {
      if (id !== open?.id && (await this.#isResolved(id))) continue
      all = false
      const { status } = await this.#ask(`/v1/incidents/${id}/close`, { verdict: 'dismiss', reason })
      // 404: not shown yet. 409: closed meanwhile.
      if (status !== 200 && status !== 404 && status !== 409)
        throw new Error(`${id} is not closed: status ${status}`)
    }
    return all
  }

  async #isResolved(id: string): Promise<boolean> {
    const { status, body } = await this.#ask(`/v1/incidents/${id}`)
    return status === 200 && (body as IncidentView).state === 'resolved'
  }

  async #get<T>(path: string): Promise<T> {
    const { status, body } = await this.#ask(path)
    if (status !== 200) throw new Error(`the admin API answers ${status} to ${path.split('?')[0]}`)
    return body as T
  }
}
