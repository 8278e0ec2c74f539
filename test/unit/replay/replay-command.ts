import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { runCommandLine } from '../../../cli/dispatch.ts'
import { wallTime } from '../../../core/time.ts'

class Collected extends Writable {
  text = ''
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

const OUTPUTS = ['alerts', 'decisions', 'scores', 'rejected'] as const

/** The four outputs of a replay, as text. */
export type Outputs = Readonly<Record<(typeof OUTPUTS)[number], string>>

export interface Replayed {
  readonly code: number
  readonly err: string
  /** The last line of standard output, parsed; empty when there was none. */
  readonly summary: Readonly<Record<string, unknown>>
  readonly outputs: Outputs
}

/** A folder of its own for files and outputs; remove it with `close`. */
export class ReplayFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'curfew-replay-'))
  private runs = 0

  file(name: string, content: string | Uint8Array): string {
    const path = join(this.path, name)
    writeFileSync(path, content)
    return path
  }

  /** `curfew replay` with every output wanted. */
  async replay(words: readonly string[], stdin: readonly Uint8Array[] = []): Promise<Replayed> {
    const run = ++this.runs
    const paths = OUTPUTS.map((name) => join(this.path, `${name}-${run}.ndjson`))
    const flags = OUTPUTS.flatMap((name, i) => [`--${name}`, paths[i]!])
    const [stdout, stderr] = [new Collected(), new Collected()]
    const io = {
      stdin: Readable.from(stdin),
      stdout,
      stderr,
      env: {},
      clock: { now: () => wallTime(0) },
      isTerminal: false,
    }
    const code = await runCommandLine(['replay', ...flags, ...words], io)
    const last = stdout.text.trimEnd().split('\n').at(-1) ?? ''
    const summary = last === '' ? {} : (JSON.parse(last) as Record<string, unknown>)
    const texts = OUTPUTS.map((name, i) => [name, readOr(paths[i]!)] as const)
    return { code, err: stderr.text, summary, outputs: Object.fromEntries(texts) as Outputs }
  }

  read(path: string): string {
    return readOr(path)
  }

  close(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The lines of an NDJSON output. */
export function linesOf(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
