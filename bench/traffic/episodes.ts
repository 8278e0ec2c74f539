import { DAYS, dayOf } from './calendar.ts'
import { type Call, type CallSink, EventBuffer } from './event-buffer.ts'
import type { EntityLabel, EpisodeKind, EpisodeLabel, Feature, Level } from './labels.ts'
import type { PairPicker, Principal } from './principal.ts'

/** An episode while it grows. */
export interface Episode {
  readonly index: number
  readonly kind: EpisodeKind
  readonly id: string
  readonly type: string
  readonly tenant: string
  readonly entities: readonly EntityLabel[]
  from: number
  /** Calls before this time prepare the attack. */
  harmAfter: number
  harmFrom: number
  to: number
  level: Level | null
  features: readonly Feature[]
  plannedRecords: number
  readonly heldOut: boolean
  readonly of: string | null
  /** Log ids, filled when the log is written. */
  readonly ids: string[]
}

/** What is known of an episode before its calls are. */
export interface EpisodeStart {
  readonly kind: EpisodeKind
  readonly type: string
  readonly tenant: string
  readonly entities: readonly EntityLabel[]
  readonly features?: readonly Feature[]
  readonly heldOut: boolean
  readonly of?: string
  readonly from?: number
  readonly to?: number
}

const PREFIX: Readonly<Record<EpisodeKind, string>> = { attack: 'a', lookalike: 'b', pair: 'p', noise: 'n' }

/** All episodes of a world and the calls that were planned for them, by day of the log. */
export class EpisodeBook {
  readonly episodes: Episode[] = []
  readonly days = Array.from({ length: DAYS }, () => new EventBuffer())

  open(start: EpisodeStart): Episode {
    const index = this.episodes.length
    const episode: Episode = {
      index,
      kind: start.kind,
      id: `${PREFIX[start.kind]}-${index}`,
      type: start.type,
      tenant: start.tenant,
      entities: start.entities,
      from: start.from ?? Number.POSITIVE_INFINITY,
      harmAfter: 0,
      harmFrom: start.from ?? Number.POSITIVE_INFINITY,
      to: start.to ?? 0,
      level: null,
      features: start.features ?? [],
      plannedRecords: 0,
      heldOut: start.heldOut,
      of: start.of ?? null,
      ids: [],
    }
    this.episodes.push(episode)
    return episode
  }

  /** Puts calls into the log; those beyond its end are left out. */
  plan(calls: EventBuffer, episode: number): void {
    calls.forEach((call) => {
      const day = dayOf(call.time)
      if (day < 0 || day >= DAYS) return
      call.episode = episode
      this.days[day]!.add(call)
    })
  }

  /** Notes a call of an episode as it goes into the log, in order of time. */
  write(call: Call, id: string, isWrite: boolean): void {
    const episode = this.episodes[call.episode]!
    if (episode.kind === 'lookalike') return
    episode.ids.push(id)
    episode.from = Math.min(episode.from, call.time)
    episode.to = Math.max(episode.to, call.time)
    if (call.time < episode.harmAfter) return
    episode.harmFrom = Math.min(episode.harmFrom, call.time)
    if (episode.kind === 'attack') episode.plannedRecords += Math.max(call.records, 0) + (isWrite ? 1 : 0)
  }

  labels(): EpisodeLabel[] {
    return this.episodes
      .filter((e) => e.kind === 'lookalike' || e.ids.length > 0)
      .map((e) => ({
        line: 'episode',
        kind: e.kind,
        id: e.id,
        type: e.type,
        tenant: e.tenant,
        entities: e.entities,
        from: e.from,
        harmFrom: Math.min(e.harmFrom, e.to),
        to: e.to,
        level: e.level,
        features: e.features,
        plannedRecords: e.plannedRecords,
        events: e.ids.length,
        heldOut: e.heldOut,
        of: e.of,
      }))
  }
}

export function principalEntity(p: Principal): EntityLabel {
  return { type: 'principal', id: `consumer:${p.is.username}` }
}

/** Stands for a route that the victim's own model does not have. */
export const ANY_ROUTE = -1

/** Takes a victim's ordinary calls until the attack's routes are matched, from a time of its choosing on. */
export class RoutePicker implements PairPicker {
  private readonly left: Map<number, number>
  private readonly episode: number
  private readonly within: (time: number) => boolean

  constructor(routes: ReadonlyMap<number, number>, episode: number, within: (time: number) => boolean) {
    this.left = new Map(routes)
    this.episode = episode
    this.within = within
  }

  take(route: number, time: number): number {
    if (!this.within(time)) return -1
    const wanted = (this.left.get(route) ?? 0) > 0 ? route : ANY_ROUTE
    const left = this.left.get(wanted) ?? 0
    if (left === 0) return -1
    this.left.set(wanted, left - 1)
    return this.episode
  }
}

/** A sink that hands calls to a function. */
export function sinkOf(add: (call: Call) => void): CallSink {
  return { add }
}
