import { idOf } from '../../core/hash.ts'
import type { AlertRecord, IncidentTransition } from '../../core/incident.ts'
import { isoTime, MINUTE_MS, SECOND_MS } from '../../core/time.ts'
import { COVERAGE } from './coverage-alert.ts'

/** Not having run for less is not worth a message. */
export const MIN_BLIND_MS = MINUTE_MS
/** Behind by more, and falling further behind, is an incident; */
const MAX_LAG_MS = MINUTE_MS
/** by less it is over. */
const CAUGHT_UP_MS = 30 * SECOND_MS
/** Growth is measured over this time, and must be at least half of it: calls come faster than they are judged. */
const GROWTH_MS = 2 * MINUTE_MS

/** An incident about Curfew itself. Plain JSON, stored as it is. */
export interface WorkIncident {
  readonly id: string
  readonly kind: 'blind' | 'lag'
  readonly openedAt: number
  readonly from: number
  readonly summary: string
}

/**
 * Watches that Curfew itself keeps judging: it did not run for a while, or falls behind the log. Fed with what
 * the wall-clock edge measured, so the same measurements give the same incidents.
 */
export class OwnWork {
  readonly outputs: AlertRecord[] = []
  readonly open: WorkIncident[]
  private readonly tenant: string
  private lags: { readonly time: number; readonly lagMs: number }[] = []

  constructor(tenant: string, open: readonly WorkIncident[] = []) {
    this.tenant = tenant
    this.open = [...open]
  }

  /** Something of Curfew (`who`) did not run from `from` to `to`. */
  blind(who: string, from: number, to: number): void {
    if (to - from < MIN_BLIND_MS) return
    const seconds = Math.round((to - from) / SECOND_MS)
    const summary = `Curfew was blind for ${seconds} s: ${who} did not run from ${isoTime(from)} to ${isoTime(to)}. Calls of that time are judged late, nothing was stopped meanwhile.`
    this.start({ id: idOf('cov', 'blind', who, from), kind: 'blind', openedAt: to, from, summary })
    this.lags = []
  }

  /** How far judging is behind the log now. */
  lag(time: number, lagMs: number): void {
    this.lags.push({ time, lagMs })
    while (this.lags.length > 1 && this.lags[1]!.time <= time - GROWTH_MS) this.lags.shift()
    if (lagMs < CAUGHT_UP_MS) {
      for (const incident of this.open.splice(0)) this.tell(incident, 'resolved', time)
      return
    }
    const first = this.lags[0]!
    const grown = lagMs - first.lagMs
    const passed = time - first.time
    // What jumps by more than the time that passed is a backlog that was found, not one that grew.
    const grows = passed >= GROWTH_MS * 0.9 && grown >= GROWTH_MS / 2 && grown <= passed + MAX_LAG_MS
    if (lagMs < MAX_LAG_MS || !grows || this.open.length > 0) return
    const summary = `Judging is ${Math.round(lagMs / SECOND_MS)} s behind the log and falls further behind: ${Math.round(grown / SECOND_MS)} s more within 2 minutes.`
    this.start({ id: idOf('cov', 'lag', time), kind: 'lag', openedAt: time, from: time - lagMs, summary })
  }

  private start(incident: WorkIncident): void {
    if (this.open.some(({ id }) => id === incident.id)) return
    this.open.push(incident)
    this.tell(incident, 'opened', incident.openedAt)
  }

  private tell(incident: WorkIncident, transition: IncidentTransition, time: number): void {
    const { id, from, summary } = incident
    this.outputs.push({
      id: idOf('alert', id, transition),
      incident: id,
      time: isoTime(time),
      tenant: this.tenant,
      transition,
      entity: { type: 'engine', id: 'curfew' },
      detectors: [COVERAGE],
      severity: 'high',
      score: 1,
      surprise: 0,
      summary: transition === 'resolved' ? `Caught up. It was: ${summary}` : summary,
      reasons: [],
      owasp: [],
      firstEventTime: isoTime(from),
      lastEventTime: isoTime(time),
      events: 0,
    })
  }
}
