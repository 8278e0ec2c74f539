import { appendFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SourcePosition } from '../core/event.ts'
import { type Clock, isoTime } from '../core/time.ts'
import type { Rejection } from './format.ts'
import type { KafkaProducer } from './sources/kafka-client.ts'
import { type Logger, SILENT } from './sources/logger.ts'

/**
 * Where lines go that could not be scored, with the reason. `write` neither waits nor fails: what finds no
 * room is dropped and counted. `flush` resolves when all that was accepted is written, and throws when
 * that is not possible.
 */
export interface DeadLetters {
  write(source: string, rejection: Rejection, position: SourcePosition): void
  flush(): Promise<void>
  /** Removes letters of which a statement holds from where they are ours to remove; a topic follows its retention. */
  erase(holds: (letter: DeadLetter) => boolean): Promise<void>
  /** Writes what waits, as far as that is possible, and lets go of the place. */
  close(): Promise<void>
  /** Dead letters dropped for want of room. */
  readonly dropped: number
}

/** What a letter says, of what may name somebody. */
export interface DeadLetter {
  readonly detail: string
  readonly excerpt: string
  readonly clientIp: string | null
}

type Erase = (holds: (letter: DeadLetter) => boolean) => Promise<void>

/** Puts lines of JSON somewhere, in order. */
type Put = (lines: readonly string[]) => Promise<void>

const MAX_WAITING = 10_000
const MAX_WAITING_CHARACTERS = 8_388_608
const MAX_PUT = 500

/** Bounded memory in front of a place that may be slow or down. */
class BufferedDeadLetters implements DeadLetters {
  readonly #put: Put
  readonly #clock: Clock
  readonly #log: Logger
  readonly #waiting: string[] = []
  #waitingCharacters = 0
  #dropped = 0
  #working: Promise<void> | null = null

  readonly #release: () => Promise<void>
  readonly #erase: Erase

  constructor(
    put: Put,
    clock: Clock,
    log: Logger,
    release: () => Promise<void> = async () => undefined,
    erase: Erase = async () => undefined,
  ) {
    this.#put = put
    this.#erase = erase
    this.#release = release
    this.#clock = clock
    this.#log = log
  }

  get dropped(): number {
    return this.#dropped
  }

  write(source: string, rejection: Rejection, position: SourcePosition): void {
    const line = deadLetterLine(source, rejection, position, this.#clock)
    const isFull = this.#waiting.length >= MAX_WAITING
    if (isFull || this.#waitingCharacters + line.length > MAX_WAITING_CHARACTERS) {
      this.#dropped += 1
      return
    }
    this.#waiting.push(line)
    this.#waitingCharacters += line.length
    this.#start().catch((error: unknown) => {
      this.#log.warn(
        { error: String(error), dropped: this.#dropped },
        'dead letters could not be written for now',
      )
    })
  }

  async flush(): Promise<void> {
    while (this.#waiting.length > 0) await this.#start()
  }

  async erase(holds: (letter: DeadLetter) => boolean): Promise<void> {
    await this.flush()
    const before = this.#working
    // Nothing is appended to a file that is being written anew.
    this.#working = (async () => {
      await before?.catch(() => undefined)
      await this.#erase(holds)
    })().finally(() => {
      this.#working = null
    })
    await this.#working
  }

  async close(): Promise<void> {
    await this.flush().catch((error: unknown) => {
      this.#log.warn(
        { error: String(error), lost: this.#waiting.length },
        'dead letters could not be written',
      )
    })
    await this.#release()
  }

  #start(): Promise<void> {
    if (this.#working !== null)
      return this.#working.then(
        () => undefined,
        () => undefined,
      )
    this.#working = this.#drain().finally(() => {
      this.#working = null
    })
    return this.#working
  }

  /** Lines leave the buffer once they are written, so a failure loses nothing that was accepted. */
  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting.slice(0, MAX_PUT)
      await this.#put(lines)
      this.#waiting.splice(0, lines.length)
      this.#waitingCharacters -= lines.reduce((sum, line) => sum + line.length, 0)
    }
  }
}

function deadLetterLine(
  source: string,
  rejection: Rejection,
  position: SourcePosition,
  clock: Clock,
): string {
  const { reason, detail, excerpt, index, clientIp } = rejection
  const at = { ...position, index }
  return JSON.stringify({
    time: isoTime(clock.now()),
    source,
    reason,
    detail,
    excerpt,
    clientIp,
    position: at,
  })
}

export interface DeadLetterFileOptions {
  readonly path: string
  readonly clock: Clock
  /** A file that reached this size is renamed to `<path>.1` and so on. Default 16 MiB. */
  readonly maxFileBytes?: number
  /** Files kept, the current one included. Default 8. */
  readonly maxFiles?: number
  readonly log?: Logger
}

/** Dead letters as NDJSON in a local file that is rotated. */
export function deadLetterFile(options: DeadLetterFileOptions): DeadLetters {
  const { path, clock, maxFileBytes = 16_777_216, maxFiles = 8, log = SILENT } = options
  let size = -1
  const put = async (lines: readonly string[]) => {
    if (size < 0) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      size = await stat(path).then(
        (info) => info.size,
        () => 0,
      )
    }
    if (size >= maxFileBytes) {
      await rotate(path, maxFiles)
      size = 0
    }
    const text = `${lines.join('\n')}\n`
    await appendFile(path, text, { mode: 0o600 })
    size += Buffer.byteLength(text)
  }
  const erase: Erase = async (holds) => {
    for (let age = 0; age < maxFiles; age += 1) await eraseFrom(age === 0 ? path : `${path}.${age}`, holds)
    size = -1
  }
  return new BufferedDeadLetters(put, clock, log, undefined, erase)
}

/** Writes a file anew without some of its letters; one line that is none of ours stays. */
async function eraseFrom(path: string, holds: (letter: DeadLetter) => boolean): Promise<void> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  })
  const lines = text.split('\n').filter((line) => line !== '')
  const kept = lines.filter((line) => {
    const letter = letterOf(line)
    return letter === null || !holds(letter)
  })
  if (kept.length === lines.length) return
  await writeFile(`${path}.tmp`, kept.map((line) => `${line}\n`).join(''), { mode: 0o600, flush: true })
  await rename(`${path}.tmp`, path)
}

function letterOf(line: string): DeadLetter | null {
  try {
    const { detail, excerpt, clientIp } = JSON.parse(line) as Partial<DeadLetter>
    return { detail: String(detail ?? ''), excerpt: String(excerpt ?? ''), clientIp: clientIp ?? null }
  } catch {
    return null
  }
}

/** Renames `path` to `path.1`, `path.1` to `path.2` and so on; the oldest goes. */
async function rotate(path: string, maxFiles: number): Promise<void> {
  await rm(maxFiles <= 1 ? path : `${path}.${maxFiles - 1}`, { force: true })
  for (let age = maxFiles - 2; age >= 0; age -= 1) {
    await rename(age === 0 ? path : `${path}.${age}`, `${path}.${age + 1}`).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    })
  }
}

export interface DeadLetterTopicOptions {
  readonly producer: KafkaProducer
  /** Makes sure before the first letter that the topic is there: brokers often do not create any. */
  readonly prepare?: () => Promise<void>
  readonly topic: string
  readonly clock: Clock
  readonly log?: Logger
}

/** Dead letters as messages of a Kafka topic, gzip-compressed. */
export function deadLetterTopic(options: DeadLetterTopicOptions): DeadLetters {
  const { producer, topic, clock, log = SILENT, prepare } = options
  let isPrepared = prepare === undefined
  const put = async (lines: readonly string[]) => {
    if (!isPrepared) await prepare?.()
    isPrepared = true
    const messages = lines.map((line) => ({ value: Buffer.from(line) }))
    await producer.send(topic, messages, true)
  }
  return new BufferedDeadLetters(put, clock, log, () => producer.close())
}
