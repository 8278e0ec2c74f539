import { randomBytes } from 'node:crypto'
import { CurfewError } from '../../core/errors.ts'
import type {
  Checkpoint,
  ControlRecord,
  ControlRequest,
  OutboxEntry,
  PartitionStore,
  Position,
} from '../store.ts'
import { checkCheckpoint, checkControl, checkKey, checkOutboxEntries } from './limits.ts'
import type { RedisClient, RedisReply } from './redis-client.ts'
import { APPEND_CONTROL, APPEND_OUTBOX, COMMIT, OPEN, SETTLE_REQUESTS, TRIM } from './redis-scripts.ts'

/** Keys asked for in one MGET; keeps one answer below a few megabytes. */
const READ_CHUNK_KEYS = 1_000
const SCAN_COUNT = 1_000
const STREAM_CHUNK = 1_000

/** Bytes or text of a reply as text. */
export function textOf(reply: RedisReply | undefined): string {
  if (Buffer.isBuffer(reply)) return reply.toString()
  return reply === undefined || reply === null ? '' : String(reply)
}

/** The elements of an array reply; none for anything else. */
export function listOf(reply: RedisReply | undefined): readonly RedisReply[] {
  return Array.isArray(reply) ? reply : []
}

/** Sequence number and named fields of one stream entry. */
export function entryOf(reply: RedisReply): {
  readonly seq: number
  readonly fields: ReadonlyMap<string, string>
} {
  const [id, flat] = listOf(reply)
  const parts = listOf(flat)
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < parts.length; i += 2) fields.set(textOf(parts[i]), textOf(parts[i + 1]))
  return { seq: Number.parseInt(textOf(id), 10), fields }
}

function positionText(position: Position): string {
  return `${position.offset} ${position.recordHash}`
}

function parsePosition(text: string): Position {
  const space = text.indexOf(' ')
  return { offset: Number(text.slice(0, space)), recordHash: text.slice(space + 1) }
}

/** Escapes what SSCAN's MATCH would take for a wildcard. */
function globOf(prefix: string): string {
  return `${prefix.replace(/[\\*?[\]]/g, '\\$&')}*`
}

/** The keys of one partition: one hash tag, so that a script may touch them all on Redis Cluster. */
export class PartitionKeys {
  readonly base: string

  constructor(prefix: string, log: string, partition: number) {
    this.base = `${prefix}{${log}/${partition}}:`
  }

  of(name: string): string {
    return this.base + name
  }
}

/** Values of keys, in the order asked. Needs no ownership. */
export async function readKeys(
  client: RedisClient,
  keys: PartitionKeys,
  names: readonly string[],
): Promise<readonly (Uint8Array | undefined)[]> {
  const found: (Uint8Array | undefined)[] = []
  for (let first = 0; first < names.length; first += READ_CHUNK_KEYS) {
    const chunk = names.slice(first, first + READ_CHUNK_KEYS)
    for (const name of chunk) checkKey(name)
    const reply = await client.call(
      'mget',
      chunk.map((name) => keys.of(name)),
    )
    for (const value of listOf(reply)) found.push(Buffer.isBuffer(value) ? value : undefined)
  }
  return found
}

/** Walks the partition's own index, never the whole database. */
export async function* scanKeys(
  client: RedisClient,
  keys: PartitionKeys,
  prefix: string,
): AsyncGenerator<readonly [string, Uint8Array]> {
  // SSCAN may name a member again while its table is resized.
  const seen = new Set<string>()
  let cursor = '0'
  do {
    const reply = listOf(
      await client.call('sscan', [keys.of('index'), cursor, 'MATCH', globOf(prefix), 'COUNT', SCAN_COUNT]),
    )
    cursor = textOf(reply[0])
    const names = listOf(reply[1])
      .map(textOf)
      .filter((name) => !seen.has(name))
    for (const name of names) seen.add(name)
    const values = await readKeys(client, keys, [...new Set(names)])
    for (const [i, name] of [...new Set(names)].entries()) {
      const value = values[i]
      if (value !== undefined) yield [name, value]
    }
  } while (cursor !== '0')
}

const OUTBOX_KINDS = ['alert', 'decision', 'proof', 'forgotten'] as const

/** Outbox entries above a sequence number, oldest first. */
export async function readOutboxEntries(
  client: RedisClient,
  keys: PartitionKeys,
  afterSeq: number,
  limit: number,
): Promise<readonly OutboxEntry[]> {
  const reply = await client.call('xrange', [keys.of('outbox'), `${afterSeq + 1}-0`, '+', 'COUNT', limit])
  return listOf(reply).map((item) => {
    const { seq, fields } = entryOf(item)
    const kind = OUTBOX_KINDS.find((name) => name === fields.get('kind')) ?? 'alert'
    return { seq, id: fields.get('id') ?? '', kind, body: fields.get('body') ?? '' }
  })
}

/** One partition in Redis under the ownership taken at opening. */
export class RedisPartition implements PartitionStore {
  readonly partition: number
  readonly epoch: number
  readonly position: Position
  readonly published: number
  readonly #client: RedisClient
  readonly #keys: PartitionKeys
  readonly #channel: string
  /** Epoch and nonce: a Redis that lost its last second cannot give two owners the same name. */
  readonly #owner: string
  #calls = 0
  /** A checkpoint whose outcome is unknown keeps its token, so that repeating it is recognised. */
  #unsure: { readonly checkpoint: Checkpoint; readonly token: string } | undefined

  private constructor(
    client: RedisClient,
    keys: PartitionKeys,
    channel: string,
    opened: Pick<PartitionStore, 'partition' | 'epoch' | 'position' | 'published'> & { nonce: string },
  ) {
    this.#client = client
    this.#keys = keys
    this.#channel = channel
    this.partition = opened.partition
    this.epoch = opened.epoch
    this.position = opened.position
    this.published = opened.published
    this.#owner = `${opened.epoch} ${opened.nonce}`
  }

  /** Takes the partition over from whoever had it. */
  static async open(
    client: RedisClient,
    keys: PartitionKeys,
    channel: string,
    partition: number,
  ): Promise<RedisPartition> {
    const nonce = randomBytes(8).toString('hex')
    const names = ['epoch', 'position', 'outbox-offset'].map((name) => keys.of(name))
    const [epoch, at, offset] = listOf(await client.run(OPEN, names, () => [nonce]))
    const position = parsePosition(textOf(at))
    const published = Number(textOf(offset))
    const opened = { partition, epoch: Number(epoch), position, published, nonce }
    return new RedisPartition(client, keys, channel, opened)
  }

  get(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    return readKeys(this.#client, this.#keys, keys)
  }

  scan(prefix: string): AsyncIterable<readonly [string, Uint8Array]> {
    return scanKeys(this.#client, this.#keys, prefix)
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    checkCheckpoint(checkpoint)
    const token = this.#unsure?.checkpoint === checkpoint ? this.#unsure.token : this.#token()
    this.#unsure = { checkpoint, token }
    const { puts, deletes } = checkpoint
    const names = [this.#keys.of('epoch'), this.#keys.of('position'), this.#keys.of('index')]
    for (const key of puts.keys()) names.push(this.#keys.of(key))
    for (const key of deletes) names.push(this.#keys.of(key))
    const fixed = [
      this.#owner,
      positionText(checkpoint.expected),
      positionText(checkpoint.position),
      token,
      puts.size,
      this.#keys.base.length,
    ]
    const outcome = textOf(await this.#client.run(COMMIT, names, () => [...fixed, ...puts.values()]))
    this.#unsure = undefined
    this.#refuseFenced(outcome)
    if (outcome !== 'done') {
      const { offset } = parsePosition(outcome)
      throw new CurfewError(
        'STORE_CONFLICT',
        `partition ${this.partition}: the stored position is offset ${offset}, expected ${checkpoint.expected.offset}`,
      )
    }
  }

  async appendOutbox(
    entries: readonly Omit<OutboxEntry, 'seq'>[],
    offset: number,
  ): Promise<readonly boolean[]> {
    checkOutboxEntries(entries)
    const parts = ['epoch', 'outbox-ids', 'outbox-seq', 'outbox', 'outbox-offset']
    const names = parts.map((name) => this.#keys.of(name))
    const args = [this.#owner, this.#token(), this.#channel, String(this.partition), String(offset)]
    for (const { id, kind, body } of entries) args.push(id, kind, body)
    const reply = await this.#client.run(APPEND_OUTBOX, names, () => args)
    this.#refuseFenced(reply)
    return listOf(reply).map((added) => added === 1)
  }

  async appendControl(record: Omit<ControlRecord, 'seq'>): Promise<number> {
    checkControl(record)
    const names = ['epoch', 'control-seq', 'control'].map((name) => this.#keys.of(name))
    const token = this.#token()
    const reply = await this.#client.run(APPEND_CONTROL, names, (attempt) => [
      this.#owner,
      token,
      attempt,
      record.afterOffset,
      record.kind,
      record.body,
    ])
    this.#refuseFenced(reply)
    return Number(reply)
  }

  async control(afterSeq: number): Promise<readonly ControlRecord[]> {
    const records: ControlRecord[] = []
    for (let from = afterSeq; ; from = records.at(-1)?.seq ?? from) {
      const args = [this.#keys.of('control'), `${from + 1}-0`, '+', 'COUNT', STREAM_CHUNK]
      const chunk = listOf(await this.#client.call('xrange', args))
      for (const item of chunk) {
        const { seq, fields } = entryOf(item)
        records.push({
          seq,
          afterOffset: Number(fields.get('after')),
          kind: fields.get('kind') ?? '',
          body: fields.get('body') ?? '',
        })
      }
      if (chunk.length < STREAM_CHUNK) return records
    }
  }

  async requests(): Promise<readonly ControlRequest[]> {
    const stored = listOf(await this.#client.call('hvals', [this.#keys.of('requests')]))
    const waiting = stored.map((item) => {
      const text = textOf(item)
      const [id, kind, body]: [string, string, string] = JSON.parse(text.slice(text.indexOf(' ') + 1))
      return { seq: Number.parseInt(text, 10), request: { id, kind, body } }
    })
    return waiting.sort((a, b) => a.seq - b.seq).map(({ request }) => request)
  }

  async settleRequests(ids: readonly string[]): Promise<void> {
    const names = [this.#keys.of('epoch'), this.#keys.of('requests')]
    this.#refuseFenced(await this.#client.run(SETTLE_REQUESTS, names, () => [this.#owner, ...ids]))
  }

  async trim(outboxSeq: number, controlSeq: number): Promise<void> {
    const names = ['epoch', 'outbox', 'outbox-ids', 'control'].map((name) => this.#keys.of(name))
    let reply: RedisReply
    do {
      reply = await this.#client.run(TRIM, names, () => [this.#owner, outboxSeq, controlSeq])
      this.#refuseFenced(reply)
    } while (reply === 1)
  }

  /** Nothing is held open for a partition; the epoch stays until the next owner raises it. */
  async close(): Promise<void> {
    this.#unsure = undefined
  }

  #token(): string {
    this.#calls++
    return `${this.#owner} ${this.#calls}`
  }

  #refuseFenced(reply: RedisReply): void {
    const said = textOf(reply)
    if (said === 'emptied') {
      const message = `the state store was emptied while Curfew ran: nobody owns partition ${this.partition}`
      throw new CurfewError('STORE_CORRUPT', message)
    }
    if (said === 'fenced') {
      throw new CurfewError(
        'STORE_FENCED',
        `partition ${this.partition} was taken over: epoch ${this.epoch} is no longer the owner`,
      )
    }
  }
}
