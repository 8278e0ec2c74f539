import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../../core/errors.ts'

/** A text file that several processes may change. Failures are {@link CurfewError}s. */
export interface TextFile {
  readonly path: string
  /** Its text; null when there is no such file yet. */
  read(): Promise<string | null>
  /** Replaces it atomically by what `edit` makes of its text, which nobody changes meanwhile. */
  change(edit: (text: string | null) => string, stop: AbortSignal): Promise<void>
}

const MAX_BYTES = 32 * 1_048_576
const LOCK_PAUSE_MS = 10
/** A write takes milliseconds: a lock that was the same so many pauses ago is of a process that is gone. */
const LOCK_TRIES = 200
const LOCK_OWNERS = 50

/** A declarative file of Kong on this machine. `name` is the gateway's, for messages. */
export class KongFragmentFile implements TextFile {
  readonly path: string
  private readonly name: string

  constructor(name: string, path: string) {
    this.name = name
    this.path = path
  }

  async read(): Promise<string | null> {
    try {
      const { size } = await stat(this.path)
      if (size > MAX_BYTES) throw new Error(`larger than ${MAX_BYTES} bytes`)
      return await readFile(this.path, 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw this.unreachable('cannot be read', cause)
    }
  }

  async change(edit: (text: string | null) => string, stop: AbortSignal): Promise<void> {
    await this.locked(stop, async () => {
      const text = edit(await this.read())
      const temporary = `${this.path}.curfew`
      const file = await open(temporary, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, this.path)
    })
  }

  private async locked(stop: AbortSignal, act: () => Promise<void>): Promise<void> {
    const lock = `${this.path}.lock`
    await this.acquired(lock, stop)
    try {
      await act()
    } finally {
      await rm(lock, { force: true })
    }
  }

  private async acquired(lock: string, stop: AbortSignal): Promise<void> {
    let owner = ''
    let tries = 0
    for (let owners = 0; owners < LOCK_OWNERS; ) {
      if (stop.aborted) throw new CurfewError('ABORTED', `${this.name}: aborted`, { cause: stop.reason })
      try {
        return await (await open(lock, 'wx', 0o600)).close()
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EEXIST')
          throw this.unreachable('cannot be written', cause)
      }
      const seen = await stat(lock).then(
        ({ ino, mtimeMs }) => `${ino} ${mtimeMs}`,
        () => '',
      )
      if (seen !== owner) {
        owner = seen
        owners++
        tries = 0
      } else if (++tries >= LOCK_TRIES) await rm(lock, { force: true })
      await sleep(LOCK_PAUSE_MS)
    }
    throw this.unreachable('is written by others all the time')
  }

  private unreachable(what: string, cause?: unknown): CurfewError {
    const message = `${this.name}: ${JSON.stringify(this.path)} ${what}`
    return new CurfewError('GATEWAY_UNREACHABLE', message, { retriable: true, cause })
  }
}
