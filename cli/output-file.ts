import { closeSync, openSync, writeSync } from 'node:fs'
import { CurfewError } from '../core/errors.ts'

const BUFFER_CHARS = 1 << 18

/** Where the lines of one output go. */
export interface LineOutput {
  /** Whether lines go anywhere; spares building them. */
  readonly wanted: boolean
  line(text: string): void
}

/** An NDJSON output, written in large pieces. A null path swallows the lines. */
export class OutputFile implements LineOutput {
  private readonly fd: number | null
  private pending = ''

  constructor(path: string | undefined) {
    try {
      this.fd = path === undefined ? null : openSync(path, 'w')
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code ?? 'unknown reason'
      throw new CurfewError('USAGE', `cannot write ${path} (${why})`, { cause })
    }
  }

  /** Whether lines go anywhere; spares building them. */
  get wanted(): boolean {
    return this.fd !== null
  }

  line(text: string): void {
    if (this.fd === null) return
    this.pending += `${text}\n`
    if (this.pending.length >= BUFFER_CHARS) this.flush()
  }

  flush(): void {
    if (this.fd === null || this.pending === '') return
    const bytes = Buffer.from(this.pending)
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at)
    this.pending = ''
  }

  close(): void {
    this.flush()
    if (this.fd !== null) closeSync(this.fd)
  }
}
