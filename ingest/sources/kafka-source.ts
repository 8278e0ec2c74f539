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
      await member?.close()
    }
  }
}

/** Holds what was fetched until it is taken, and what was taken until it is acknowledged. */
class Intake implements MemberHandlers {
  readonly #options: KafkaSourceOptions
  readonly #heartbeatMs: number
  readonly #maxUnacknowledged: number
  readonly #claims = new Map<string, Claim>()
  readonly #ready: { readonly batch: RawBatch; readonly claim: Claim }[] = []
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
    this.#makeRoom()
  }

  async next(): Promise<RawBatch | null> {
    while (!this.#ended) {
      const entry = this.#ready.shift()
      if (entry !== undefined) return entry.batch
      this.#taker = deferred()
      await this.#taker.promise
    }
    if (this.#error !== null) throw this.#error
    return null
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
    this.#ready.push({ claim, batch: { records, ack: () => this.#acknowledge(claim, entry) } })
    batch.resolve(last.offset)
    this.#taker?.resolve()
  }

  async #acknowledge(claim: Claim, entry: Claim['open'][number]): Promise<void> {
    if (entry.acknowledged || !claim.valid) return
    entry.acknowledged = true
    this.#unacknowledged -= 1
    this.#makeRoom()
    let next = -1
    while (claim.open[0]?.acknowledged === true) next = claim.open.shift()?.next ?? next
    if (next < 0 || this.#member === null) return
    try {
      await this.#member.commit([{ topic: claim.topic, partition: claim.partition, offset: next }])
    } catch (error) {
      // Uncommitted records come again and are recognised by their position, so this is no failure.
      const { log = SILENT, name } = this.#options
      log.warn({ source: name, error: String(error) }, 'an acknowledged batch could not be committed')
    }
  }

  #makeRoom(): void {
    this.#room?.resolve()
    this.#room = null
  }
}

function claimKey(topic: string, partition: number): string {
  return `${topic}/${partition}`
}
