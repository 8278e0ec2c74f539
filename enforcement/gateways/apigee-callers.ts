import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import type { ApigeeClient } from './apigee-client.ts'
import { type ApigeeTarget, credentialOf } from './apigee-targets.ts'

/** How a target is let in, in Apigee's words. */
export interface StatusWords {
  readonly open: string
  readonly shut: string
  readonly openAction: string
  readonly shutAction: string
}

/** The words for a kind of target. */
export function wordsOf({ kind }: ApigeeTarget): StatusWords {
  return kind === 'developer'
    ? { open: 'active', shut: 'inactive', openAction: 'active', shutAction: 'inactive' }
    : { open: 'approved', shut: 'revoked', openAction: 'approve', shutAction: 'revoke' }
}

interface Found {
  readonly path: readonly string[]
  readonly status: string
}

interface FoundKey {
  /** Null for a key of an AppGroup. */
  readonly path: readonly string[] | null
  readonly status: string
}

/** Statuses of apps, keys and developers: read, and changed reversibly. Nothing is ever deleted. */
export class ApigeeCallers {
  private readonly client: ApigeeClient

  constructor(client: ApigeeClient) {
    this.client = client
  }

  /** Status of a target; null when it does not exist. */
  async statusOf(target: ApigeeTarget, stop: AbortSignal): Promise<string | null> {
    return (await this.find(target, stop))?.status ?? null
  }

  /** Status of every key, by what stands for it; one listing for all of them. */
  async keyStatuses(stop: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const keys = await this.keys(stop)
    return new Map([...keys].map(([credential, { status }]) => [credential, status]))
  }

  /** Lets a target in, or no longer. False when it does not exist. */
  async act(target: ApigeeTarget, open: boolean, stop: AbortSignal): Promise<boolean> {
    const found = await this.find(target, stop)
    if (found === null) return false
    const words = wordsOf(target)
    if (found.status === (open ? words.open : words.shut)) return true
    const query = { action: open ? words.openAction : words.shutAction }
    const request = {
      method: 'POST',
      path: found.path,
      what: `the status of a ${target.kind}`,
      query,
    } as const
    return (await this.client.call(request, stop)) !== null
  }

  private async find(target: ApigeeTarget, stop: AbortSignal): Promise<Found | null> {
    if (target.kind === 'key') return this.pathOfKey((await this.keys(stop)).get(target.credential))
    const path = ['developers', target.developer, ...(target.kind === 'app' ? ['apps', target.app] : [])]
    const answer = await this.client.call({ method: 'GET', path, what: `a ${target.kind}` }, stop)
    return answer === null ? null : { path, status: this.text(answer.status) }
  }

  /** Keys are known by their hash, so all of them are read and none is kept. */
  private async keys(stop: AbortSignal): Promise<ReadonlyMap<string, FoundKey>> {
    const query = { expand: 'true', includeCred: 'true' }
    const rows = await this.client.follow({ method: 'GET', path: ['apps'], what: 'apps', query }, 'app', stop)
    const keys = new Map<string, FoundKey>()
    for (const { name, developerId, credentials = [] } of rows) {
      if (!Array.isArray(credentials)) throw this.nonsense()
      for (const row of credentials as readonly unknown[]) {
        if (!isRecord(row) || typeof row.consumerKey !== 'string') throw this.nonsense()
        // Apps of an AppGroup have no developer and another address.
        const hasOwner = typeof developerId === 'string' && typeof name === 'string'
        const path = hasOwner ? ['developers', developerId, 'apps', name, 'keys', row.consumerKey] : null
        keys.set(credentialOf(row.consumerKey), { path, status: this.text(row.status) })
      }
    }
    return keys
  }

  private pathOfKey(key: FoundKey | undefined): Found | null {
    if (key === undefined) return null
    const { path, status } = key
    if (path !== null) return { path, status }
    const what = 'the key belongs to an AppGroup, which is not supported'
    throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.client.name}: ${what}`)
  }

  private text(status: unknown): string {
    if (typeof status !== 'string' || status === '') throw this.nonsense()
    return status
  }

  private nonsense(): CurfewError {
    const what = 'a caller without its status'
    return new CurfewError('GATEWAY_UNREACHABLE', `${this.client.name}: Apigee answered ${what}`, {
      retriable: true,
    })
  }
}
