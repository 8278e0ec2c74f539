import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../../core/errors.ts'
import { Pace, sizeOf } from '../pace.ts'
import type { LogRecord, PartitionOwner } from '../source.ts'
import { logRecord } from './kafka-appender.ts'
import type {
  GroupMember,
  IncomingBatch,
  IncomingMessage,
  MemberHandlers,
  OffsetRange,
  TopicPartition,
} from './kafka-client.ts'
import type { Logger } from './logger.ts'

/** One stretch of ownership of a partition, from an assignment to its end. */
interface Claim {
  readonly partition: number
  stage: 'opening' | 'reading' | 'ended'
  /** True once the owner was told, so that it must be told of the end too. */
  announced: boolean
  /** Offset that must come next. */
  next: number
  /** Offset for which the log was already read again because a record in front of it was missing. */
  soughtBack: number
  committed: number
  /** Whether records came since the last tick. */
  active: boolean
  look: { readonly offset: number; readonly settle: (found: LogRecord | null | CurfewError) => void } | null
  /** Appends of this process in a row that held exactly what had to come next. */
  ownInARow: number
  /** So many in a row stop the fetching; grows each time somebody else wrote after all. */
  ownNeeded: number
  /** False while everything that comes is written by this process and handed on without a fetch. */
  fetching: boolean
  /** Where it stood when the last tick found more in the log than was handed on; else -1. */
  behindAt: number
}

export interface ReaderOptions {
  readonly topic: string
  readonly heartbeatMs: number
  readonly log: Logger
  readonly ranges: () => Promise<ReadonlyMap<number, OffsetRange>>
  /** With it a partition with a gap is stopped and reported and the others go on; else reading ends. */
  readonly onPartitionStopped: ((partition: number, error: CurfewError) => void) | undefined
}

const MAX_BATCH_RECORDS = 1_000
const COMMIT_EVERY_TICKS = 5
const RANGE_PAUSE_MS = 250
const OWN_NEEDED = 16
const IDLE: Promise<unknown> = Promise.resolve()
const MAX_OWN_NEEDED = 65_536
/** Bytes of own records that wait for their owner; beyond it the log is read again later instead of holding them. */
const MAX_WAITING_BYTES = 8_388_608

/**
 * Hands assigned partitions to their owner. Where to read is asked of the owner at each assignment: the
 * offsets that the group commits are for lag tools only. Calls about one partition stand in a queue of its
 * own, over any number of rebalances, so they never overlap.
 */
export class KafkaReader implements MemberHandlers {
  readonly #owner: PartitionOwner
  readonly #options: ReaderOptions
  readonly #claims = new Map<number, Claim>()
  readonly #queues = new Map<number, Promise<unknown>>()
  readonly #fail: (error: unknown) => void
  #member: GroupMember | null = null
  #ticking = false
  #ticks = 0
  #waitingBytes = 0
  readonly #pace = new Pace()

  /** `fail` is called when reading cannot go on. */
  constructor(owner: PartitionOwner, options: ReaderOptions, fail: (error: unknown) => void) {
    this.#owner = owner
    this.#options = options
    this.#fail = fail
  }

  joined(member: GroupMember, assigned: readonly TopicPartition[]): void {
    this.left()
    this.#member = member
    for (const { partition } of assigned) {
      // Until the owner said where to start, nothing may be fetched.
      member.pause(this.#options.topic, partition)
      const claim: Claim = {
        partition,
        stage: 'opening',
        announced: false,
        next: 0,
        soughtBack: -1,
        committed: -1,
        active: false,
        look: null,
        ownInARow: 0,
        ownNeeded: OWN_NEEDED,
        fetching: true,
        behindAt: -1,
      }
      this.#claims.set(partition, claim)
      void this.#enqueue(partition, () => this.#open(claim, member))
    }
  }

  left(): void {
    for (const claim of this.#claims.values()) this.#end(claim)
    this.#claims.clear()
  }

  failed(error: CurfewError, again: boolean): void {
    if (again) this.#options.log.warn({ error: error.message }, 'reading the event log failed, joining again')
    else this.#fail(error)
  }

  async batch(batch: IncomingBatch): Promise<void> {
    const claim = this.#claims.get(batch.partition)
    if (claim === undefined || claim.stage === 'ended') return
    if (claim.look !== null) return this.#answerLook(claim, batch)
    if (claim.stage !== 'reading') return
    let working = true
    const beat = setInterval(() => {
      batch.heartbeat().catch(() => {
        working = false
      })
    }, this.#options.heartbeatMs)
    try {
      for (let at = 0; working && at < batch.messages.length; at += MAX_BATCH_RECORDS) {
        const part = batch.messages.slice(at, at + MAX_BATCH_RECORDS)
        const isLast = at + part.length === batch.messages.length
        const whole = await this.#enqueue(claim.partition, () => this.#deliver(claim, batch, part, isLast))
        if (!whole) return
      }
    } finally {
      clearInterval(beat)
    }
  }

  /**
   * Records that this process just made durable. Where they are exactly what must come next they go to the owner
   * at once, and a partition that nobody else writes to is not fetched at all: a fetch would bring the same
   * bytes a round trip later. Whatever does not fit is left to the fetch.
   */
  wrote(partition: number, records: readonly LogRecord[]): void {
    const claim = this.#claims.get(partition)
    if (claim?.stage !== 'reading') return
    const bytes = sizeOf(records)
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      void this.#enqueue(partition, async () => this.#fetchAgain(claim))
      return
    }
    this.#waitingBytes += bytes
    void this.#enqueue(partition, async () => {
      this.#waitingBytes -= bytes
      await this.#handOn(claim, records)
    })
  }

  async #handOn(claim: Claim, records: readonly LogRecord[]): Promise<void> {
    if (claim.stage !== 'reading') return
    const first = records[0]?.offset ?? claim.next
    const fresh = first >= claim.next ? records : records.filter((record) => record.offset >= claim.next)
    const end = first + records.length
    if (first > claim.next) return this.#foreign(claim)
    if (fresh.length === 0) return
    claim.active = true
    const turn = this.#pace.take(sizeOf(fresh), this.#waitingBytes)
    if (turn !== undefined) await turn
    if (claim.stage !== 'reading') return
    await this.#owner.records(claim.partition, fresh, true)
    claim.next = end
    claim.ownInARow += 1
    if (!claim.fetching || claim.ownInARow < claim.ownNeeded || this.#isEnded(claim)) return
    claim.fetching = false
    this.#member?.pause(this.#options.topic, claim.partition)
  }

  /** Somebody else writes to the partition too: it takes longer until that is believed to be over. */
  #foreign(claim: Claim): void {
    if (!claim.fetching) claim.ownNeeded = Math.min(MAX_OWN_NEEDED, claim.ownNeeded * 4)
    this.#fetchAgain(claim)
  }

  #fetchAgain(claim: Claim): void {
    claim.ownInARow = 0
    if (claim.fetching || claim.stage !== 'reading') return
    claim.fetching = true
    this.#member?.seek(this.#options.topic, claim.partition, claim.next)
    this.#member?.resume(this.#options.topic, claim.partition)
  }

  /**
   * Reads the record at an offset of a partition that is being opened; undefined when this reader does
   * not hold the partition so, null when the record is gone.
   */
  look(partition: number, offset: number): Promise<LogRecord | null> | undefined {
    const claim = this.#claims.get(partition)
    const member = this.#member
    if (claim?.stage !== 'opening' || claim.look !== null || member === null) return undefined
    return new Promise((resolve, reject) => {
      const settle = (found: LogRecord | null | CurfewError) => {
        claim.look = null
        if (found instanceof CurfewError) reject(found)
        else resolve(found)
      }
      claim.look = { offset, settle }
      member.seek(this.#options.topic, partition, offset)
      member.resume(this.#options.topic, partition)
    })
  }

  /** To be called about each second: tells owners at the end of their partition that time passes. */
  async tick(): Promise<void> {
    if (this.#ticking) return
    this.#ticking = true
    try {
      const reading = [...this.#claims.values()].filter((claim) => claim.stage === 'reading')
      const idle = reading.filter((claim) => !claim.active)
      for (const claim of reading) claim.active = false
      if (idle.length > 0) this.#tickIdle(idle, await this.#options.ranges())
      this.#ticks += 1
      if (this.#ticks % COMMIT_EVERY_TICKS === 0) await this.#commit(reading)
    } catch (error) {
      this.#options.log.warn({ error: String(error) }, 'the end of the event log could not be read')
    } finally {
      this.#ticking = false
    }
  }

  /** Resolves when every call to the owner has returned. */
  async settled(): Promise<void> {
    await Promise.all(this.#queues.values())
  }

  #tickIdle(idle: readonly Claim[], ranges: ReadonlyMap<number, OffsetRange>): void {
    for (const claim of idle) {
      const range = ranges.get(claim.partition)
      const { next } = claim
      if (range === undefined) continue
      if (range.low > next) void this.#enqueue(claim.partition, async () => this.#gap(claim, range))
      else if (next < range.high && !claim.fetching) this.#tickBehind(claim)
      else if (next >= range.high)
        void this.#enqueue(claim.partition, async () => {
          if (claim.stage === 'reading' && claim.next === next)
            await this.#owner.records(claim.partition, [], true)
        })
    }
  }

  /** Not fetched, and yet the log goes on: at the second look it is not an append of our own under way. */
  #tickBehind(claim: Claim): void {
    const { next, behindAt } = claim
    claim.behindAt = next
    if (behindAt !== next) return
    void this.#enqueue(claim.partition, async () => {
      if (claim.next === next) this.#foreign(claim)
    })
  }

  async #commit(reading: readonly Claim[]): Promise<void> {
    const moved = reading.filter((claim) => claim.stage === 'reading' && claim.next > claim.committed)
    if (moved.length === 0) return
    const { topic } = this.#options
    await this.#member?.commit(moved.map(({ partition, next }) => ({ topic, partition, offset: next })))
    for (const claim of moved) claim.committed = claim.next
  }

  /** Runs `work` behind everything that was asked about the partition before. */
  #enqueue<T>(partition: number, work: () => Promise<T>): Promise<T | undefined> {
    const result = (this.#queues.get(partition) ?? IDLE).then(work).catch((error: unknown) => {
      this.#fail(error)
      return undefined
    })
    this.#queues.set(partition, result)
    return result
  }

  async #open(claim: Claim, member: GroupMember): Promise<void> {
    if (claim.stage === 'ended') return
    claim.announced = true
    const next = await this.#owner.assigned(claim.partition).catch((error: unknown) => {
      if (!(error instanceof CurfewError) || error.code !== 'LOG_GAP') throw error
      this.#halt(claim, error)
      return null
    })
    if (next === null || this.#isEnded(claim)) return
    claim.next = next
    const range = await this.#rangeOf(claim)
    if (this.#isEnded(claim)) return
    if (range !== undefined && (next < range.low || next > range.high)) return this.#gap(claim, range)
    claim.stage = 'reading'
    member.seek(this.#options.topic, claim.partition, next)
    member.resume(this.#options.topic, claim.partition)
  }

  /** Insists while the claim lasts: right after a topic was made, its partitions may have no leader yet. */
  async #rangeOf(claim: Claim): Promise<OffsetRange | undefined> {
    for (;;) {
      try {
        return (await this.#options.ranges()).get(claim.partition)
      } catch (error) {
        if (!(error instanceof CurfewError) || !error.retriable) throw error
        if (this.#isEnded(claim)) return undefined
        this.#options.log.warn({ error: error.message }, 'the ends of the event log are asked again')
        await sleep(RANGE_PAUSE_MS)
      }
    }
  }

  #isEnded(claim: Claim): boolean {
    return claim.stage === 'ended'
  }

  #end(claim: Claim): void {
    claim.stage = 'ended'
    claim.look?.settle(new CurfewError('ABORTED', 'the partition was taken away', { retriable: true }))
    void this.#enqueue(claim.partition, async () => {
      if (!claim.announced) return
      claim.announced = false
      await this.#owner.revoked(claim.partition)
    })
  }

  /** True when the whole part is dealt with and the batch may go on. */
  async #deliver(
    claim: Claim,
    batch: IncomingBatch,
    part: readonly IncomingMessage[],
    isLast: boolean,
  ): Promise<boolean> {
    if (claim.stage !== 'reading') return false
    const records: LogRecord[] = []
    let next = claim.next
    let missing = false
    for (const message of part) {
      if (message.offset < next) continue
      missing = message.offset > next
      if (missing) break
      records.push(logRecord(message))
      next += 1
    }
    if (records.length > 0) {
      claim.active = true
      await this.#owner.records(claim.partition, records, isLast && !missing && next >= batch.highWatermark)
      claim.next = next
    }
    if (missing) return this.#readAgain(claim)
    const last = part.at(-1)
    if (last !== undefined) batch.resolve(last.offset)
    return true
  }

  /** A record is missing: the client may have jumped, so the log is asked once more. */
  async #readAgain(claim: Claim): Promise<false> {
    if (claim.stage !== 'reading') return false
    if (claim.soughtBack === claim.next) {
      const range = (await this.#options.ranges()).get(claim.partition)
      this.#gap(claim, range ?? { low: 0, high: 0 })
    } else {
      claim.soughtBack = claim.next
      this.#member?.seek(this.#options.topic, claim.partition, claim.next)
    }
    return false
  }

  #gap(claim: Claim, range: OffsetRange): void {
    const { topic } = this.#options
    const text = `record ${claim.next} of ${topic}/${claim.partition} is missing: the topic holds ${range.low} to ${range.high - 1}`
    this.#halt(claim, new CurfewError('LOG_GAP', text))
  }

  #halt(claim: Claim, error: CurfewError): void {
    if (claim.stage === 'ended') return
    const { topic, onPartitionStopped } = this.#options
    if (onPartitionStopped === undefined) {
      this.#fail(error)
      return
    }
    this.#member?.pause(topic, claim.partition)
    this.#end(claim)
    onPartitionStopped(claim.partition, error)
  }

  #answerLook(claim: Claim, batch: IncomingBatch): void {
    const { look } = claim
    this.#member?.pause(this.#options.topic, claim.partition)
    const found = batch.messages.find((message) => message.offset === look?.offset)
    look?.settle(found === undefined ? null : logRecord(found))
  }
}
