import type { EntityLabel, EpisodeLabel, HeaderLabel, Labels } from '../traffic/labels.ts'

/** A caller as it is judged; `archetype` of one that the labels do not know is `unlabelled`. */
export interface Caller {
  readonly tenant: string
  /** As in alerts: `consumer:<name>`, `ip:<address>`. */
  readonly id: string
  readonly archetype: string
  readonly org: string | null
}

/** The labels of one log, indexed for judging its calls as they come. */
export class Truth {
  readonly header: HeaderLabel
  readonly callers: Caller[]
  readonly episodes: readonly EpisodeLabel[]
  /** Calls that the log holds, without repeated ones. */
  readonly events: number
  readonly allowed: readonly Caller[]
  private readonly byKey = new Map<string, number>()
  private readonly byCall: ReadonlyMap<string, string>
  private readonly byId: ReadonlyMap<string, EpisodeLabel>

  constructor(labels: Labels) {
    this.header = labels.header
    this.episodes = labels.episodes
    this.byCall = labels.episodeOf
    this.byId = new Map(labels.episodes.map((e) => [e.id, e]))
    this.callers = labels.principals.map(({ tenant, id, archetype, org }) => ({ tenant, id, archetype, org }))
    for (const [i, { tenant, id }] of this.callers.entries()) this.byKey.set(callerKey(tenant, id), i)
    this.events = labels.principals.reduce((sum, p) => sum + p.events, 0)
    this.allowed = this.callers.filter((_, i) => labels.principals[i]!.allowListed)
  }

  /** Number of a caller; one that the labels do not know is added. */
  callerOf(tenant: string, id: string): number {
    const key = callerKey(tenant, id)
    const known = this.byKey.get(key)
    if (known !== undefined) return known
    this.byKey.set(key, this.callers.length)
    this.callers.push({ tenant, id, archetype: 'unlabelled', org: null })
    return this.callers.length - 1
  }

  /** The attack, pair or noise that a call belongs to, or null. */
  episodeOf(callId: string): EpisodeLabel | null {
    const id = this.byCall.get(callId)
    return id === undefined ? null : (this.byId.get(id) ?? null)
  }
}

/** Unambiguous for any text in either. */
export function callerKey(tenant: string, id: string): string {
  return `${tenant}\u0000${id}`
}

/** One spelling for every entity: a caller without identity and its address are the same. */
export function entityName(entity: { readonly type: string; readonly id: string }): string {
  const bare = entity.id.startsWith('ip:') ? entity.id.slice(3) : entity.id
  if (entity.type === 'ip' || (entity.type === 'principal' && bare !== entity.id)) return `ip:${bare}`
  if (entity.type === 'org') return entity.id.startsWith('org:') ? entity.id : `org:${entity.id}`
  return entity.type === 'tenant' ? `tenant:${entity.id}` : entity.id
}

/** Whether an alarm about this entity names a victim. */
export function isVictim(name: string, victims: readonly EntityLabel[]): boolean {
  return victims.some((victim) => entityName(victim) === name)
}
