import { mkdirSync } from 'node:fs'
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CurfewError } from '../core/errors.ts'

/** Why Curfew only observes: somebody pulled the brake, or what it had learnt is gone. */
export type LatchCause = 'panic' | 'baselines-lost'

/** Keeps Curfew in observe, whatever its settings say, until it is resumed. */
export interface Latch {
  readonly id: string
  readonly cause: LatchCause
  /** ISO 8601. */
  readonly time: string
  readonly reason: string
}

/** Everything about latches that one place holds; places are merged by union. */
export interface LatchState {
  readonly latches: readonly Latch[]
  /** Ids of latches that were resumed. */
  readonly resumed: readonly string[]
  /** Ids of latches that a running Curfew holds to. */
  readonly seen: readonly string[]
  /** Ids of latches whose rules the running Curfew has lifted. */
  readonly lifted: readonly string[]
}

/** A wish to resume that could not be audited where it was made; the next Curfew that runs here takes it. */
export interface ResumeRequest {
  readonly file: string
  readonly reason: string
}

export const NO_LATCHES: LatchState = { latches: [], resumed: [], seen: [], lifted: [] }

const CAUSES: readonly LatchCause[] = ['panic', 'baselines-lost']
const LATCH_FILE = /^latch-(panic|baselines-lost)-([a-z0-9_-]{1,64})\.json$/
const MARK_FILE = /^(resumed|seen|lifted)-([a-z0-9_-]{1,64})\.json$/
const REQUEST_FILE = /^resume-[0-9a-z-]{1,64}\.json$/
const MAX_TEXT = 500

type Mark = 'resumed' | 'seen' | 'lifted'

/**
 * Latches on this machine, one file each, so that commands and a running Curfew never overwrite one another. A
 * latch counts by its name alone: one whose content is damaged still holds. Failures are `CONFIG_INVALID`.
 */
export class LatchFolder {
  readonly folder: string

  /** Makes the folder when it is not there. */
  constructor(folder: string) {
    this.folder = folder
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
    } catch (cause) {
      throw this.failed('cannot be made', cause)
    }
  }

  async read(): Promise<LatchState & { readonly requests: readonly ResumeRequest[] }> {
    const names = await readdir(this.folder).catch((cause: unknown) => {
      throw this.failed('cannot be read', cause)
    })
    const latches: Latch[] = []
    const marks: Record<Mark, string[]> = { resumed: [], seen: [], lifted: [] }
    const requests: ResumeRequest[] = []
    for (const name of names.sort()) {
      const [, cause, latch] = LATCH_FILE.exec(name) ?? []
      const [, mark, marked] = MARK_FILE.exec(name) ?? []
      if (cause !== undefined && latch !== undefined) {
        const { time, reason } = await this.content(name)
        latches.push({ id: latch, cause: cause as LatchCause, time, reason })
      } else if (mark !== undefined && marked !== undefined) {
        marks[mark as Mark].push(marked)
      } else if (REQUEST_FILE.test(name)) {
        requests.push({ file: name, reason: (await this.content(name)).reason })
      }
    }
    return { latches, ...marks, requests }
  }

  async add({ id, cause, time, reason }: Latch): Promise<void> {
    await this.write(`latch-${cause}-${id}.json`, { time, reason })
  }

  /** Notes that a latch was resumed, and removes its file. */
  async addResumed(id: string): Promise<void> {
    await this.write(`resumed-${id}.json`, {})
    for (const cause of CAUSES) await rm(join(this.folder, `latch-${cause}-${id}.json`), { force: true })
    for (const mark of ['seen', 'lifted']) await rm(join(this.folder, `${mark}-${id}.json`), { force: true })
  }

  async mark(mark: 'seen' | 'lifted', id: string): Promise<void> {
    await this.write(`${mark}-${id}.json`, {})
  }

  async addRequest(name: string, time: string, reason: string): Promise<void> {
    await this.write(`resume-${name}.json`, { time, reason })
  }

  async settleRequest({ file }: ResumeRequest): Promise<void> {
    await rm(join(this.folder, file), { force: true })
  }

  private async content(name: string): Promise<{ readonly time: string; readonly reason: string }> {
    let value: { readonly time?: unknown; readonly reason?: unknown } | null = null
    try {
      value = JSON.parse(await readFile(join(this.folder, name), 'utf8'))
    } catch {
      // What the name says still holds.
    }
    const { time, reason } = value ?? {}
    return {
      time: typeof time === 'string' ? time.slice(0, MAX_TEXT) : 'an unknown time',
      reason: typeof reason === 'string' ? reason.slice(0, MAX_TEXT) : 'the latch file is damaged',
    }
  }

  /** All of the file or none of it, on the disk when resolved. */
  private async write(name: string, content: object): Promise<void> {
    const path = join(this.folder, name)
    const draft = `${path}.${process.pid}.tmp`
    try {
      const file = await open(draft, 'w', 0o600)
      try {
        await file.writeFile(`${JSON.stringify(content)}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(draft, path)
    } catch (cause) {
      throw this.failed(`cannot be written (${name})`, cause)
    }
  }

  private failed(what: string, cause: unknown): CurfewError {
    const detail = cause instanceof Error ? `: ${cause.message}` : ''
    return new CurfewError('CONFIG_INVALID', `enforcement.folder ${this.folder} ${what}${detail}`, { cause })
  }
}
