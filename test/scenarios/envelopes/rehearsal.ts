import { EnvelopeReader } from '../../../cli/stored-envelopes.ts'
import { type EnvelopeLimit, grantedLimits, type StandingLimits } from '../../../core/envelope.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { EnvelopeMeter } from '../../../enforcement/envelope-meter.ts'
import { differs, wholeLimits, withPeersKnown } from '../../../enforcement/envelope-plan.ts'
import type { Partition } from '../../../engine/partition.ts'
import { FROZEN_KEY, PartitionState, PROFILE_PREFIX, storedPrior } from '../../../engine/partition-state.ts'

const IDENTITY_KEY = new TextEncoder().encode('envelopes')

/** A call that an envelope would have refused. */
export interface Refused {
  readonly event: AccessEvent
  readonly limit: EnvelopeLimit
  readonly limits: StandingLimits['limits']
}

export interface Rehearsed {
  /** Calls that met an envelope. */
  readonly calls: number
  /** Callers that had one at the end. */
  readonly callers: number
  readonly refused: readonly Refused[]
}

/**
 * Plays a log against envelopes that are made anew of the profiles after every `everyMs` of it, with the headroom,
 * growth and thresholds of the defaults, as a gateway would count that sees each call begin and end.
 */
export function rehearse(events: Iterable<AccessEvent>, partition: Partition, everyMs: number): Rehearsed {
  const rehearsal = new Rehearsal(partition)
  let open: AccessEvent[] = []
  let period = Number.NaN
  for (const event of events) {
    const its = Math.floor(event.time / everyMs)
    // Late calls belong to the period that is open: time at a gateway runs one way.
    if (!(its <= period)) {
      rehearsal.play(open)
      rehearsal.renew(its * everyMs)
      open = []
      period = its
    }
    open.push(event)
  }
  rehearsal.play(open)
  return rehearsal.result
}

class Rehearsal {
  private readonly partition: Partition
  private readonly state: PartitionState
  private readonly profiles = new Map<string, Uint8Array>()
  private readonly standing = new Map<string, StandingLimits>()
  private readonly meter = new EnvelopeMeter()
  private readonly reader = new EnvelopeReader(4)
  private readonly refused: Refused[] = []
  private calls = 0

  constructor(partition: Partition) {
    this.partition = partition
    this.state = new PartitionState(partition, IDENTITY_KEY)
  }

  get result(): Rehearsed {
    return { calls: this.calls, callers: this.standing.size, refused: this.refused }
  }

  renew(now: number): void {
    for (const [key, bytes] of this.state.takeChanges().puts) this.profiles.set(key, bytes)
    const frozen = this.profiles.get(FROZEN_KEY)
    if (frozen === undefined) return
    const prior = storedPrior(frozen)
    const wishes = [...this.profiles].flatMap(([key, blob]) => {
      const wish = key.startsWith(PROFILE_PREFIX) ? this.reader.wish(blob, prior) : null
      return wish === null ? [] : [wish]
    })
    for (const wish of withPeersKnown(wishes)) {
      const caller = callerOf(wish)
      const before = this.standing.get(caller) ?? null
      const limits = grantedLimits(wish.limits, before, 1.5, now)
      if (before !== null && !differs(limits, before.limits, 1.25)) continue
      this.standing.set(caller, { limits, at: now })
    }
  }

  /** The calls of one period, as they began and ended. */
  play(events: readonly AccessEvent[]): void {
    const moments = events.flatMap((event) => [
      { at: event.time - (event.latencyMs ?? 0), event, isEnd: false },
      { at: event.time as number, event, isEnd: true },
    ])
    moments.sort((a, b) => a.at - b.at || Number(b.isEnd) - Number(a.isEnd))
    const passed = new Set<AccessEvent>()
    for (const { at, event, isEnd } of moments) {
      const caller = callerOf(event)
      const standing = this.standing.get(caller)
      if (standing === undefined) continue
      if (isEnd) {
        if (passed.has(event)) this.meter.end(caller, event.records, event.responseBytes ?? 0, at)
        continue
      }
      this.calls += 1
      const limits = wholeLimits(standing.limits)
      const limit = this.meter.exceeded(caller, limits, at)
      if (limit !== null) {
        this.refused.push({ event, limit, limits })
        continue
      }
      this.meter.begin(caller, at)
      passed.add(event)
    }
    for (const event of events) this.partition.step(event)
  }
}

function callerOf({ tenant, principal }: Pick<AccessEvent, 'tenant' | 'principal'>): string {
  return `${tenant} ${principal.kind}:${principal.id}`
}
