import type { AlertRecord } from '../../core/incident.ts'
import type { Reason } from '../../core/opinion.ts'
import type { EpisodeLabel } from '../traffic/labels.ts'
import type { Call } from './call-book.ts'
import { ALARM_MS, featureWord } from './rules.ts'
import type { Alarm, Credit } from './seed-record.ts'
import { callerKey, entityName, isVictim, type Truth } from './truth.ts'

/** The members of an alert line that judging reads. */
export type AlertLine = Pick<
  AlertRecord,
  'incident' | 'time' | 'tenant' | 'transition' | 'entity' | 'reasons'
>

interface OpenIncident {
  readonly id: string
  readonly name: string
  readonly openedAt: number
  readonly alarm: Alarm
  /** True feature word of the strongest reason. */
  reason: string
}

/**
 * Follows the alerts of one run. An attack is found at its first call during which an incident about it is
 * open that was opened, or raised to a higher severity, since the attack began. An incident that was open before says
 * nothing new, so it finds nothing; it is not charged either, because it holds attack calls.
 */
export class IncidentBook {
  readonly alarms: Alarm[] = []
  private readonly latest = new Map<string, Alarm>()
  private readonly open = new Map<string, OpenIncident>()
  private readonly byId = new Map<string, string>()
  private readonly found = new Map<string, Credit>()
  private readonly truth: Truth

  constructor(truth: Truth) {
    this.truth = truth
  }

  get credits(): readonly Credit[] {
    return [...this.found.values()]
  }

  /** Takes an alert that `call` led to; a resolution has no call of its own. */
  alert(line: AlertLine, call: Call, place: (episode: string) => number): void {
    const name = entityName(line.entity)
    const key = callerKey(line.tenant, name)
    if (line.transition === 'resolved') {
      const known = this.byId.get(line.incident)
      if (known !== undefined) this.open.delete(known)
      this.byId.delete(line.incident)
      return
    }
    let incident = this.open.get(key)
    if (line.transition === 'opened') {
      const time: number = call.event.time
      incident = {
        id: line.incident,
        name,
        openedAt: time,
        alarm: this.alarm(line, name, key, call),
        reason: '',
      }
      this.open.set(key, incident)
      this.byId.set(line.incident, key)
    }
    if (incident === undefined) return
    incident.reason = strongestWord(line.reasons)
    if (call.kind === 'attack') this.credit(incident, call, place)
  }

  private alarm(line: AlertLine, name: string, key: string, call: Call): Alarm {
    const time: number = call.event.time
    const before = this.latest.get(key)
    if (before !== undefined && time - before.time < ALARM_MS) return before
    const isCaller = line.entity.type === 'principal' || line.entity.type === 'ip'
    const alarm: Alarm = {
      entity: name,
      tenant: line.tenant,
      caller: isCaller ? this.truth.callerOf(line.tenant, name) : -1,
      time,
      kind: call.kind,
      episode: call.episode?.id ?? null,
      holdsAttack: false,
    }
    this.latest.set(key, alarm)
    this.alarms.push(alarm)
    return alarm
  }

  /** Looks whether an open incident is about this call; to be asked after its alerts. */
  after(call: Call, place: (episode: string) => number): void {
    if (call.kind !== 'attack' || this.open.size === 0) return
    for (const name of this.namesOf(call)) {
      const incident = this.open.get(callerKey(call.event.tenant, name))
      if (incident === undefined) continue
      if (!this.isAbout(name, call.episode!)) continue
      incident.alarm.holdsAttack = true
      if (incident.openedAt >= call.episode!.from) this.credit(incident, call, place)
    }
  }

  /** Everything an alarm about this call may name. */
  private namesOf({ caller, event }: Call): readonly string[] {
    const { id, org } = this.truth.callers[caller]!
    const names = [entityName({ type: 'principal', id }), `tenant:${event.tenant}`]
    if (event.clientIp !== null) names.push(`ip:${event.clientIp}`)
    if (org !== null) names.push(org)
    return names
  }

  /** An alarm about a whole org or tenant counts only where that is the victim: else one that never ends finds all. */
  private isAbout(name: string, episode: EpisodeLabel): boolean {
    return !/^(org|tenant):/.test(name) || isVictim(name, episode.entities)
  }

  private credit(incident: OpenIncident, call: Call, place: (episode: string) => number): void {
    const episode = call.episode!
    if (!this.isAbout(incident.name, episode)) return
    incident.alarm.holdsAttack = true
    if (!call.judged || call.repeated || this.found.has(episode.id)) return
    this.found.set(episode.id, {
      episode: episode.id,
      call: place(episode.id),
      time: call.event.time,
      rightEntity: isVictim(incident.name, episode.entities),
      rightReason: episode.features.some((feature) => feature === incident.reason),
    })
  }
}

function strongestWord(reasons: readonly Pick<Reason, 'feature' | 'weight'>[]): string {
  let top: Pick<Reason, 'feature' | 'weight'> | null = null
  for (const reason of reasons) if (top === null || reason.weight > top.weight) top = reason
  return top === null ? '' : featureWord(top.feature)
}
