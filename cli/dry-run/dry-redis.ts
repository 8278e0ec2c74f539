import type {
  RedisArgument,
  RedisClient,
  RedisReply,
  RedisScript,
} from '../../baseline/stores/redis-client.ts'
import { listOf, textOf } from '../../baseline/stores/redis-partition.ts'
import { COMMIT, OPEN, SETTLE_REQUESTS } from '../../baseline/stores/redis-scripts.ts'
import type { Recorder } from '../../enforcement/dry-run/recorder.ts'

/** Commands that change nothing. Any other is not sent. */
const READS: ReadonlySet<string> = new Set(['get', 'hget', 'hmget', 'hvals', 'info', 'mget', 'ping', 'sscan'])
/** Of a commit: owner, expected position, position, token. */
const OWNER = 0
const TOKEN = 3

/**
 * Redis for a dry run. Opening a partition would take it over from the Curfew that runs, so its owner and position are
 * read instead, and what would be committed is shown in that owner's name. `real` is null when offline.
 */
export class DryRedis implements RedisClient {
  readonly address: string
  readonly #recorder: Recorder
  readonly #real: RedisClient | null
  #owner = 'OWNER'

  constructor(recorder: Recorder, address: string, real: RedisClient | null) {
    this.#recorder = recorder
    this.address = address
    this.#real = real
  }

  async call(command: string, args: readonly RedisArgument[]): Promise<RedisReply> {
    // Part of an opening, which a Curfew that runs has done.
    if (command === 'sadd') return 1
    const isRead = READS.has(command)
    this.#record(isRead, [command, ...args])
    if (isRead && this.#real !== null) return this.#real.call(command, args)
    return command === 'sscan' ? ['0', []] : null
  }

  async run(
    script: RedisScript,
    keys: readonly string[],
    args: (attempt: number) => readonly RedisArgument[],
  ): Promise<RedisReply> {
    if (script === OPEN) return this.#opened(keys)
    // Asks whether we still own the partition: nobody asks us to.
    if (script === SETTLE_REQUESTS) return 'done'
    const given: RedisArgument[] = [...args(1)]
    if (script === COMMIT) {
      given[OWNER] = this.#owner
      given[TOKEN] = `${this.#owner} N`
      this.#recorder.note('N in the last word of its token counts the calls of the Curfew that runs')
    }
    this.#record(false, ['evalsha', script.sha1, keys.length, ...keys, ...given])
    return 'done'
  }

  async callEach(command: string, args: readonly RedisArgument[]): Promise<readonly RedisReply[]> {
    if (!READS.has(command)) throw new Error(`a dry run does not send ${command} to every node`)
    this.#record(true, [command, ...args])
    return this.#real === null ? [''] : this.#real.callEach(command, args)
  }

  async subscribe(): Promise<() => Promise<void>> {
    return async () => undefined
  }

  async close(): Promise<void> {
    await this.#real?.close()
  }

  async #opened([epoch = '', position = '', offset = '']: readonly string[]): Promise<RedisReply> {
    const owner = textOf(await this.call('get', [epoch]))
    const at = textOf(await this.call('hget', [position, 'at']))
    const published = textOf(await this.call('get', [offset]))
    if (owner === '')
      this.#recorder.note('OWNER is whoever opens the store: no Curfew has opened it, as far as is known')
    else this.#owner = owner
    return [Number.parseInt(owner, 10) || 1, at === '' ? '-1 ' : at, published === '' ? '-1' : published]
  }

  #record(isRead: boolean, words: readonly RedisArgument[]): void {
    const shown = words.map((word) => this.#recorder.mask.text(wordText(word)))
    const [command = '', ...rest] = shown
    this.#recorder.add({
      kind: 'redis',
      ...this.#recorder.mark(isRead),
      address: this.address,
      words: [command.toUpperCase(), ...rest],
    })
  }
}

function wordText(word: RedisArgument): string {
  return typeof word === 'string' || typeof word === 'number'
    ? String(word)
    : textOf(listOf([Buffer.from(word)])[0])
}
