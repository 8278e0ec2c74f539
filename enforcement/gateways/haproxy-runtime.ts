import { createConnection } from 'node:net'
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

/**
 * Sends one command to HAProxy's Runtime API over its unix socket and returns the answer without its closing
 * empty line (HAProxy management guide, section 9.3). The caller vouches that the line holds no text from
 * outside: `;` and line feeds separate commands. Throws `GATEWAY_UNREACHABLE` when the socket is closed, hangs
 * or breaks off before the empty line that ends every answer, `ABORTED` when `stop` fires.
 */
function runtimeCommand(socketPath: string, line: string, stops: Stops, stop: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) {
      reject(stopped(socketPath, stop))
      return
    }
    const chunks: Buffer[] = []
    let size = 0
    const socket = createConnection({ path: socketPath })
    const settle = (act: () => void) => {
      stops.off(stop, onAbort)
      socket.destroy()
      act()
    }
    const onAbort = () => settle(() => reject(stopped(socketPath, stop)))
    stops.on(stop, onAbort)
    socket.setTimeout(ANSWER_TIMEOUT_MS, () =>
      settle(() => reject(failure(socketPath, 'no answer within 5 s'))),
    )
    socket.on('error', (error) => settle(() => reject(failure(socketPath, error.message, error))))
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_ANSWER_BYTES) settle(() => reject(failure(socketPath, 'answer longer than 32 MiB')))
    })
    socket.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8')
      if (text === '\n') settle(() => resolve(''))
      else if (text.endsWith('\n\n')) settle(() => resolve(text.slice(0, -2)))
      else settle(() => reject(failure(socketPath, 'the answer broke off')))
    })
    socket.write(`${line}\n`)
  })
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

  /** See {@link runtimeCommand}. */
  async command(line: string, stop: AbortSignal): Promise<string> {
    await this.#turn(stop)
    try {
      return await runtimeCommand(this.socketPath, line, this.#stops, stop)
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
