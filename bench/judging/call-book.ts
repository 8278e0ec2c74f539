import type { AccessEvent } from '../../core/event.ts'
import { entityId } from '../../core/event.ts'
import type { EpisodeLabel } from '../traffic/labels.ts'
import { ALARM_MS, type CallKind, DAY_MS, inWarmUp } from './rules.ts'
import { DAY } from './seed-record.ts'
import type { Truth } from './truth.ts'

/** One call with what the labels and the rules say of it. Reused from call to call. */
export interface Call {
  event: AccessEvent
  caller: number
  kind: CallKind
  /** Whether the caller is in its warm-up; also for attack calls. */
  warmUp: boolean
  /** In the judged period. */
  judged: boolean
  /** The attack, pair or noise that the call belongs to. */
  episode: EpisodeLabel | null
  /** Records that it took; a write that succeeded counts one. */
  records: number
  /** A second delivery of a labelled call. */
  repeated: boolean
}

const READS = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Tells of every call what it counts as, and keeps the principal-days. */
export class CallBook {
  readonly days: number
  readonly call: Call
  events = 0
  private bits: Uint8Array
  private counts: Float64Array
  private firsts: Float64Array
  private attacked: Float64Array
  private readonly truth: Truth
  private readonly labelled = new Set<string>()

  constructor(truth: Truth) {
    this.truth = truth
    const { learnFrom, judgeTo } = truth.header
    this.days = Math.ceil((judgeTo - learnFrom) / DAY_MS)
    const room = truth.callers.length + 1024
    this.bits = new Uint8Array(room * this.days)
    this.counts = new Float64Array(room)
    this.firsts = new Float64Array(room)
    this.attacked = new Float64Array(room).fill(Number.NEGATIVE_INFINITY)
    this.call = {} as Call
  }

  /** Books the next call of the log. The answer is valid until the one after. */
  next(event: AccessEvent): Call {
    const { call, truth } = this
    const { judgeFrom, judgeTo } = truth.header
    const time: number = event.time
    const caller = truth.callerOf(event.tenant, entityId(event.principal))
    if (caller >= this.counts.length) this.grow()
    const earlier = this.counts[caller]!
    if (earlier === 0) this.firsts[caller] = time
    call.event = event
    call.caller = caller
    call.episode = truth.episodeOf(event.id)
    call.warmUp = inWarmUp(earlier, this.firsts[caller]!, time)
    call.judged = time >= judgeFrom && time < judgeTo
    call.records = recordsOf(event)
    call.repeated = call.episode !== null && this.labelled.has(event.id)
    if (call.episode !== null) this.labelled.add(event.id)
    call.kind = this.kindOf(call)
    if (call.kind === 'attack') this.attacked[caller] = Math.max(this.attacked[caller]!, time)
    this.counts[caller] = earlier + 1
    this.events++
    this.markDay(call, time)
    return call
  }

  private kindOf({ episode, caller, warmUp, event }: Call): CallKind {
    if (episode?.kind === 'attack') return 'attack'
    if (episode?.kind === 'noise') return 'noise'
    if (event.time - this.attacked[caller]! < ALARM_MS) return 'after-attack'
    return warmUp ? 'warm-up' : 'ordinary'
  }

  private markDay({ caller, kind, warmUp }: Call, time: number): void {
    const day = Math.floor((time - this.truth.header.learnFrom) / DAY_MS)
    if (day < 0 || day >= this.days) return
    const at = caller * this.days + day
    let bits = warmUp ? DAY.warmUp : DAY.settled
    if (kind === 'attack') bits |= DAY.attack
    if (kind === 'noise') bits |= DAY.noise
    this.bits[at]! |= bits
  }

  private grow(): void {
    const room = this.counts.length * 2
    const grown = <A extends Uint8Array | Float64Array>(from: A, to: A): A => {
      to.set(from)
      return to
    }
    this.bits = grown(this.bits, new Uint8Array(room * this.days))
    this.counts = grown(this.counts, new Float64Array(room))
    this.firsts = grown(this.firsts, new Float64Array(room))
    this.attacked = grown(this.attacked, new Float64Array(room).fill(Number.NEGATIVE_INFINITY))
  }

  /** Per caller and day, the bits of {@link DAY}. */
  dayBits(): Uint8Array {
    return this.bits.slice(0, this.truth.callers.length * this.days)
  }

  /** Labelled calls that came. */
  get labelledSeen(): number {
    return this.labelled.size
  }
}

function recordsOf({ status, records, method }: AccessEvent): number {
  if (status !== null && status >= 400) return 0
  return records ?? (READS.has(method) ? 0 : 1)
}
