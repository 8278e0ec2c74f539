import { LineSplitter } from '../ingest/line-splitter.ts'

/** At most this much of a log is held to look at its first lines. */
const MAX_HEAD_BYTES = 4 << 20

/** The first lines of a log, and the whole log, from its first byte on. */
export interface LogHead {
  readonly lines: readonly Uint8Array[]
  readonly whole: AsyncIterable<Uint8Array>
  /** Lets go of a log of which no more than the head is wanted. */
  close(): Promise<void>
}

/** Reads up to `count` lines ahead; nothing of the log is lost by it, even if it is a pipe. */
export async function readHead(log: AsyncIterable<Uint8Array>, count: number): Promise<LogHead> {
  const chunks = log[Symbol.asyncIterator]()
  const held: Uint8Array[] = []
  const lines: Uint8Array[] = []
  const splitter = new LineSplitter()
  const take = (line: Uint8Array) => {
    if (lines.length < count) lines.push(Uint8Array.from(line))
  }
  let bytes = 0
  let ended = false
  while (!ended && lines.length < count && bytes < MAX_HEAD_BYTES) {
    const next = await chunks.next()
    if (next.done === true) {
      ended = true
      splitter.end(take)
    } else {
      held.push(next.value)
      bytes += next.value.length
      splitter.push(next.value, take)
    }
  }
  const whole = async function* () {
    yield* held
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
  }
  const close = async () => {
    await chunks.return?.()
  }
  return { lines, whole: whole(), close }
}
