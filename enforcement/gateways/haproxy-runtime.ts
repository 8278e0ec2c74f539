import { createConnection, type Socket } from 'node:net'
import { CurfewError } from '../../core/errors.ts'

/** Bound of one answer: far above a map of 10,000 rules. */
const MAX_ANSWER_BYTES = 33_554_432
/** A local process that does not answer within this time is treated as hanging. */
const ANSWER_TIMEOUT_MS = 5_000

function failure(socketPath: string, why: string, cause?: unknown): CurfewError {
  return new CurfewError('GATEWAY_UNREACHABLE', `HAProxy at ${socketPath}: ${why}`, {
    retriable: true,
    cause,
  })
}

function stopped(socketPath: string, stop: AbortSignal): CurfewError {
  const reason: unknown = stop.reason
  if (reason instanceof Error && reason.name === 'TimeoutError')
    return failure(socketPath, 'no answer in time')
  return new CurfewError('ABORTED', `HAProxy at ${socketPath}: the call was stopped`, { cause: reason })
}

/** What HAProxy says when it waits for the next command. Answers hold no line that starts so. */
const PROMPT = '\n> '

/** Asks for one command and gives its answer without the empty line that closes it. */
export type Ask = (line: string) => Promise<string>

/**
 * One connection to HAProxy's Runtime API over its unix socket, in interactive mode (HAProxy management guide,
 * section 9.3): each round trip costs a turn of the event loop, and one connection per command would cost three.
 */
class Connection {
  readonly #socketPath: string
  readonly #socket: Socket
  readonly #release: () => void
  #chunks: Buffer[] = []
  #size = 0
  /** Whether the prompt came that answers the wish for prompts. */
  #greeted = false
  #failure: CurfewError | null = null
  #waiting: { resolve: (answer: string) => void; reject: (error: CurfewError) => void } | null = null

  constructor(socketPath: string, stops: Stops, stop: AbortSignal) {
    this.#socketPath = socketPath
    this.#socket = createConnection({ path: socketPath })
    const onAbort = () => this.#fail(stopped(socketPath, stop))
    stops.on(stop, onAbort)
    this.#release = () => stops.off(stop, onAbort)
    const broken = (why: string, cause?: unknown) => this.#fail(failure(socketPath, why, cause))
    this.#socket.setTimeout(ANSWER_TIMEOUT_MS, () => broken('no answer within 5 s'))
    this.#socket.on('error', (error) => broken(error.message, error))
    this.#socket.on('end', () => broken('the answer broke off'))
    this.#socket.on('data', (chunk) => this.#data(chunk))
    this.#socket.write('prompt\n')
  }

  ask(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure)
      this.#waiting = { resolve, reject }
      this.#socket.write(`${line}\n`)
    })
  }

  close(): void {
    this.#release()
    this.#socket.destroy()
  }

  #data(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#size > MAX_ANSWER_BYTES) this.#fail(failure(this.#socketPath, 'answer longer than 32 MiB'))
    if (!this.#greeted) this.#greet()
    if (this.#failure !== null) return
    if (!this.#endsWithPrompt()) return
    const text = Buffer.concat(this.#chunks).toString('utf8').slice(0, -2)
    this.#keep(Buffer.alloc(0))
    const waiting = this.#waiting
    this.#waiting = null
    if (text === '\n') waiting?.resolve('')
    else if (text.endsWith('\n\n')) waiting?.resolve(text.slice(0, -2))
    else waiting?.reject(failure(this.#socketPath, 'the answer broke off'))
  }

  /** Looks at the end only: a long answer comes in many pieces. The prompt itself may come in several. */
  #endsWithPrompt(): boolean {
    const tail = this.#chunks.slice(-PROMPT.length).map((chunk) => chunk.subarray(-PROMPT.length))
    return Buffer.concat(tail).toString('latin1').endsWith(PROMPT)
  }

  /** Takes away the prompt that answers the wish for prompts. */
  #greet(): void {
    const text = Buffer.concat(this.#chunks)
    if (text.length < PROMPT.length) return
    if (text.toString('latin1', 0, PROMPT.length) !== PROMPT)
      this.#fail(failure(this.#socketPath, 'it gives no prompt'))
    this.#greeted = true
    this.#keep(text.subarray(PROMPT.length))
  }

  #keep(rest: Buffer): void {
    this.#chunks = [rest]
    this.#size = rest.length
  }

  #fail(error: CurfewError): void {
    this.#failure ??= error
    this.#waiting?.reject(this.#failure)
    this.#waiting = null
    this.close()
  }
}

/** One listener per signal, however many commands wait for it: a call may need one per rule. */
class Stops {
  readonly #waiting = new Map<AbortSignal, { readonly acts: Set<() => void>; readonly fire: () => void }>()

  on(stop: AbortSignal, act: () => void): void {
    let entry = this.#waiting.get(stop)
    if (entry === undefined) {
      const acts = new Set<() => void>()
      const fire = () => {
        this.#waiting.delete(stop)
        for (const each of acts) each()
      }
      entry = { acts, fire }
      this.#waiting.set(stop, entry)
      stop.addEventListener('abort', fire, { once: true })
    }
    entry.acts.add(act)
  }

  off(stop: AbortSignal, act: () => void): void {
    const entry = this.#waiting.get(stop)
    if (entry === undefined || !entry.acts.delete(act) || entry.acts.size > 0) return
    stop.removeEventListener('abort', entry.fire)
    this.#waiting.delete(stop)
  }
}

/** HAProxy takes 10 connections by default (`stats maxconn`), shared with other tools: we use at most these. */
const MAX_CONNECTIONS = 4

/** One process's Runtime API: commands beyond {@link MAX_CONNECTIONS} wait for their turn, or for `stop`. */
export class HaproxyRuntime {
  readonly socketPath: string
  readonly #waiting: (() => void)[] = []
  readonly #stops = new Stops()
  #busy = 0

  constructor(socketPath: string) {
    this.socketPath = socketPath
  }

  /** Asks one command; see {@link session}. */
  command(line: string, stop: AbortSignal): Promise<string> {
    return this.session(stop, (ask) => ask(line))
  }

  /**
   * Asks several commands, one after the other, over one connection, so of one process of HAProxy. The caller
   * vouches that no line holds text from outside: `;` and line feeds separate commands. Throws
   * `GATEWAY_UNREACHABLE` when the socket is closed, hangs or breaks off before the end of an answer, `ABORTED`
   * when `stop` fires.
   */
  async session<T>(stop: AbortSignal, work: (ask: Ask) => Promise<T>): Promise<T> {
    await this.#turn(stop)
    try {
      if (stop.aborted) throw stopped(this.socketPath, stop)
      const connection = new Connection(this.socketPath, this.#stops, stop)
      try {
        return await work((line) => connection.ask(line))
      } finally {
        connection.close()
      }
    } finally {
      this.#busy--
      this.#waiting.shift()?.()
    }
  }

  #turn(stop: AbortSignal): Promise<void> {
    if (this.#busy < MAX_CONNECTIONS || stop.aborted) {
      this.#busy++
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        this.#stops.off(stop, leave)
        this.#busy++
        resolve()
      }
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1)
        reject(stopped(this.socketPath, stop))
      }
      this.#stops.on(stop, leave)
      this.#waiting.push(enter)
    })
  }
}
