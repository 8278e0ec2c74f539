import { Worker } from 'node:worker_threads'
import { CurfewError } from '../../core/errors.ts'
import type { KafkaProducer, OutgoingMessage } from './kafka-client.ts'
import type { KafkaOptions } from './kafka-options.ts'
import { type Logger, SILENT } from './logger.ts'
import {
  heardError,
  type ProducerAnswer,
  type ProducerOrder,
  type ProducerTask,
  packMessages,
} from './producer-orders.ts'

/** What the writer of a log needs of a producer. */
export type RecordProducer = Pick<KafkaProducer, 'send' | 'close'>

type FirstOffsets = ReadonlyMap<number, number>

interface Waiting {
  readonly sent: (firsts: FirstOffsets) => void
  readonly failed: (error: CurfewError) => void
}

interface Thread {
  readonly worker: Worker
  readonly ended: Promise<void>
}

const WORKER = new URL('./producer-worker.js', import.meta.url)

/**
 * A Kafka producer in a thread of its own. To encode a request the client library makes some ten times its size in short-lived
 * buffers. In the heap that holds everything that is known of the callers they make full collections of garbage
 * frequent, and each of them holds up every decision; in a heap that holds nothing else they cost next to nothing.
 * Connects lazily. When the thread dies, what it was about to write fails, retriable, and the next `send` starts another.
 */
export class ProducerThread implements RecordProducer {
  readonly #task: ProducerTask
  readonly #log: Logger
  readonly #script: URL
  readonly #waiting = new Map<number, Waiting>()
  #thread: Thread | null = null
  #orders = 0

  /** `script`: the compiled `producer-worker`; to be given where this class is not run from the compiled files. */
  constructor(kafka: KafkaOptions, log: Logger = SILENT, script: URL = WORKER) {
    this.#task = { kafka }
    this.#log = log
    this.#script = script
  }

  /** As {@link KafkaProducer.send}, without compression. */
  send(topic: string, messages: readonly OutgoingMessage[]): Promise<FirstOffsets> {
    this.#thread ??= this.#start()
    const { worker } = this.#thread
    const id = ++this.#orders
    const order: ProducerOrder = { kind: 'send', id, topic, ...packMessages(messages) }
    return new Promise((sent, failed) => {
      this.#waiting.set(id, { sent, failed })
      worker.postMessage(order, [order.values.buffer])
    })
  }

  /** Waits for what is under way, disconnects and ends the thread. */
  async close(): Promise<void> {
    const thread = this.#thread
    if (thread === null) return
    const order: ProducerOrder = { kind: 'close' }
    thread.worker.postMessage(order)
    await thread.ended
  }

  #start(): Thread {
    const worker = new Worker(this.#script, { workerData: this.#task, name: 'kafka-producer' })
    let reason = 'it ended'
    worker.on('message', (answer: ProducerAnswer) => this.#take(answer))
    worker.on('error', (error) => {
      reason = error.message
    })
    const ended = new Promise<void>((resolve) =>
      worker.once('exit', () => {
        this.#lost(reason)
        resolve()
      }),
    )
    return { worker, ended }
  }

  #take(answer: ProducerAnswer): void {
    if (answer.kind === 'log') {
      this.#log[answer.level](answer.fields, answer.message)
      return
    }
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (answer.kind === 'sent') waiting?.sent(answer.firsts)
    else waiting?.failed(heardError(answer.error))
  }

  #lost(reason: string): void {
    this.#thread = null
    const lost = [...this.#waiting.values()]
    this.#waiting.clear()
    const text = `Kafka: the thread that writes is gone: ${reason}`
    for (const { failed } of lost) failed(new CurfewError('LOG_UNREACHABLE', text, { retriable: true }))
  }
}
