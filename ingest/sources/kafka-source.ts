import type { CurfewError } from '../../core/errors.ts'
import type { RawBatch, RawSource, SourcedRecord } from '../source.ts'
import { type Deferred, deferred } from './deferred.ts'
import type {
  GroupMember,
  IncomingBatch,
  KafkaClient,
  MemberHandlers,
  TopicPartition,
} from './kafka-client.ts'
import { type Logger, SILENT } from './logger.ts'

export interface KafkaSourceOptions {
  /** Name of the source in the configuration. */
  readonly name: string
  /** Topics that carry the gateway's raw log. */
  readonly topics: readonly string[]
  readonly groupId: string
  /** Where a group without committed offsets starts. Default: at the oldest record. */
  readonly fromBeginning?: boolean
  /** Most batches handed out and not acknowledged. Default 16. */
  readonly maxUnacknowledged?: number
  /** Longest wait of an empty fetch, milliseconds. Default 100. */
  readonly maxWaitMs?: number
  /** Default 30,000. */
  readonly sessionTimeoutMs?: number
  readonly log?: Logger
}

/** One stretch of ownership of one partition. */
interface Claim extends TopicPartition {
  valid: boolean
  /** Handed out and not acknowledged, oldest first. */
  readonly open: { readonly next: number; acknowledged: boolean }[]
}

const COMMIT_PAUSE_MS = 250
const MAX_BATCH_RECORDS = 1_000

/**
 * Raw gateway logs from Kafka topics, shared out within a consumer group. An acknowledged batch is
 * committed once all batches of its partition in front of it are acknowledged too; what is not committed
 * comes again after a restart or goes to the member that takes the partition over.
 */
export class KafkaSource implements RawSource {
  readonly name: string
  readonly #client: KafkaClient
  readonly #options: KafkaSourceOptions

  constructor(client: KafkaClient, options: KafkaSourceOptions) {
    this.name = options.name
    this.#client = client
    this.#options = options
  }

  async *batches(stop: AbortSignal): AsyncGenerator<RawBatch> {
    if (stop.aborted) return
    const sessionTimeoutMs = this.#options.sessionTimeoutMs ?? 30_000
    const heartbeatIntervalMs = Math.max(100, Math.floor(sessionTimeoutMs / 10))
    const intake = new Intake(this.#options, heartbeatIntervalMs)
    const end = () => intake.end(null)
    stop.addEventListener('abort', end, { once: true })
    let member: GroupMember | null = null
    try {
      member = await this.#client.join(
        {
          groupId: this.#options.groupId,
          topics: this.#options.topics,
          fromBeginning: this.#options.fromBeginning ?? true,
          concurrency: 8,
          maxWaitMs: this.#options.maxWaitMs ?? 100,
          sessionTimeoutMs,
          heartbeatIntervalMs,
        },
        intake,
      )
      for (let batch = await intake.next(); batch !== null; batch = await intake.next()) yield batch
    } finally {
      stop.removeEventListener('abort', end)
      intake.end(null)
      await intake.settled()
      await member?.close()
    }
  }
}

/** Records of one fetch and partition that wait to be taken. */
interface Ready {
  readonly records: readonly SourcedRecord[]
  readonly claim: Claim
  readonly entry: Claim['open'][number]
}

/**
 * Holds what was fetched until it is taken, and what was taken until it is acknowledged. What waits together
 * is taken together: where the taker makes a round trip per batch, batches grow with the load.
 */
class Intake implements MemberHandlers {
  readonly #options: KafkaSourceOptions
  readonly #heartbeatMs: number
  readonly #maxUnacknowledged: number
  readonly #claims = new Map<string, Claim>()
  readonly #ready: Ready[] = []
  /** Partitions with acknowledged records that are not committed yet. */
  readonly #uncommitted = new Map<Claim, number>()
  #committing: Promise<void> | null = null
  /** Ends the pause between two commits early. */
  #resume: (() => void) | null = null
  #unacknowledged = 0
  #room: Deferred<void> | null = null
  #taker: Deferred<void> | null = null
  #member: GroupMember | null = null
  #ended = false
  #error: CurfewError | null = null

  constructor(options: KafkaSourceOptions, heartbeatMs: number) {
    this.#options = options
    this.#heartbeatMs = heartbeatMs
    this.#maxUnacknowledged = options.maxUnacknowledged ?? 16
  }

  joined(member: GroupMember, assigned: readonly TopicPartition[]): void {
    this.left()
    this.#member = member
    for (const { topic, partition } of assigned) {
      this.#claims.set(claimKey(topic, partition), { topic, partition, valid: true, open: [] })
    }
  }

  left(): void {
    for (const claim of this.#claims.values()) {
      claim.valid = false
      this.#unacknowledged -= claim.open.filter((entry) => !entry.acknowledged).length
    }
    this.#claims.clear()
    // What nobody took yet will come again, here or elsewhere.
    this.#ready.length = 0
    this.#makeRoom()
  }

  failed(error: CurfewError, again: boolean): void {
    const { log = SILENT, name } = this.#options
    if (again) log.warn({ source: name, error: error.message }, 'reading from Kafka failed, joining again')
    else this.end(error)
  }

  end(error: CurfewError | null): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    this.#taker?.resolve()
    this.#resume?.()
    this.#makeRoom()
  }

  async next(): Promise<RawBatch | null> {
    while (!this.#ended) {
      if (this.#ready.length > 0) return this.#takeReady()
      this.#taker = deferred()
      await this.#taker.promise
    }
    if (this.#error !== null) throw this.#error
    return null
  }

  #takeReady(): RawBatch {
    let count = 0
    let records = 0
    for (const ready of this.#ready) {
      if (count > 0 && records + ready.records.length > MAX_BATCH_RECORDS) break
      records += ready.records.length
      count += 1
    }
    const taken = this.#ready.splice(0, count)
    const first = taken[0]
    return {
      records: taken.length === 1 && first !== undefined ? first.records : taken.flatMap((r) => r.records),
      ack: async () => {
        for (const { claim, entry } of taken) this.#acknowledge(claim, entry)
      },
    }
  }

  async batch(batch: IncomingBatch): Promise<void> {
    const claim = this.#claims.get(claimKey(batch.topic, batch.partition))
    if (claim === undefined) return
    let rebalancing = false
    const beat = setInterval(() => {
      batch.heartbeat().catch(() => {
        rebalancing = true
        this.#makeRoom()
      })
    }, this.#heartbeatMs)
    try {
      for (let at = 0; at < batch.messages.length; at += MAX_BATCH_RECORDS) {
        while (
          this.#unacknowledged >= this.#maxUnacknowledged &&
          !rebalancing &&
          claim.valid &&
          !this.#ended
        ) {
          this.#room ??= deferred()
          await this.#room.promise
        }
        if (rebalancing || !claim.valid || this.#ended) return
        this.#offer(claim, batch, at)
      }
    } finally {
      clearInterval(beat)
    }
  }

  #offer(claim: Claim, batch: IncomingBatch, at: number): void {
    const { topic, partition } = claim
    const messages = batch.messages.slice(at, at + MAX_BATCH_RECORDS)
    const last = messages.at(-1)
    if (last === undefined) return
    const records: SourcedRecord[] = messages.map((message) => ({
      source: this.#options.name,
      bytes: message.value,
      receivedAt: message.timestamp,
      topic,
      partition,
      offset: message.offset,
    }))
    const entry = { next: last.offset + 1, acknowledged: false }
    claim.open.push(entry)
    this.#unacknowledged += 1
    this.#ready.push({ claim, entry, records })
    batch.resolve(last.offset)
    this.#taker?.resolve()
  }

  #acknowledge(claim: Claim, entry: Claim['open'][number]): void {
    if (entry.acknowledged || !claim.valid) return
    entry.acknowledged = true
    this.#unacknowledged -= 1
    this.#makeRoom()
    let next = -1
    while (claim.open[0]?.acknowledged === true) next = claim.open.shift()?.next ?? next
    if (next < 0) return
    this.#uncommitted.set(claim, next)
    this.#committing ??= this.#commit().finally(() => {
      this.#committing = null
    })
  }

  /**
   * Commits until nothing is left to commit, beside the taker and with pauses, as each is a write of the broker:
   * uncommitted records come again and are recognised by their position, so neither a delay nor an error here
   * loses or repeats anything.
   */
  async #commit(): Promise<void> {
    while (this.#uncommitted.size > 0) {
      const due = [...this.#uncommitted].filter(([claim]) => claim.valid)
      this.#uncommitted.clear()
      if (due.length === 0 || this.#member === null) return
      try {
        await this.#member.commit(due.map(([{ topic, partition }, offset]) => ({ topic, partition, offset })))
      } catch (error) {
        const { log = SILENT, name } = this.#options
        log.warn({ source: name, error: String(error) }, 'an acknowledged batch could not be committed')
      }
      if (!this.#ended) await this.#pause()
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, COMMIT_PAUSE_MS)
      this.#resume = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Resolves when everything acknowledged so far is committed. */
  async settled(): Promise<void> {
    await this.#committing
  }

  #makeRoom(): void {
    this.#room?.resolve()
    this.#room = null
  }
}

function claimKey(topic: string, partition: number): string {
  return `${topic}/${partition}`
}
