import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CurfewError } from '../../core/errors.ts'
import { HAPROXY_MAPS, type HaproxyEntry, type HaproxyMap, isOurs } from './haproxy-keys.ts'
import { type Ask, HaproxyRuntime } from './haproxy-runtime.ts'

/** How one process is asked: its Runtime API, or what stands in for it. */
export type HaproxyCommands = Pick<HaproxyRuntime, 'socketPath' | 'command' | 'session'>

/** Where the maps of one process reach out of this program. */
export interface HaproxyEdges {
  readonly commands: HaproxyCommands
  /** Replaces a file atomically. */
  readonly replace: (path: string, text: string) => Promise<void>
}

/** One line of a map with HAProxy's own reference, by which exactly this entry can be removed. */
export interface MapLine extends HaproxyEntry {
  readonly reference: string
}

const LINE = /^(0x[0-9a-f]+) (\S+)(?: (.*))?$/
const COMMAND_SAFE = /^[A-Za-z0-9._/+-]+$/

/** The maps of one HAProxy process and the files that it reads them from when it starts or reloads. */
export class HaproxyMaps {
  readonly #runtime: HaproxyCommands
  readonly #replace: HaproxyEdges['replace']
  readonly #folder: string
  readonly #writing = new Map<HaproxyMap, { again: Promise<void> | null; running: Promise<void> }>()

  /** `folder` is the absolute folder that curfew.cfg was started with. */
  constructor(socketPath: string, folder: string, edges: HaproxyEdges = haproxyEdges(socketPath)) {
    if (!folder.startsWith('/') || !COMMAND_SAFE.test(folder)) {
      const shown = JSON.stringify(folder.slice(0, 80))
      const allowed = 'an absolute path of letters, digits and . _ / + -'
      throw new CurfewError('CONFIG_INVALID', `HAProxy map folder ${shown} must be ${allowed}`)
    }
    this.#runtime = edges.commands
    this.#replace = edges.replace
    this.#folder = folder
  }

  #file(map: HaproxyMap): string {
    return join(this.#folder, `${map}.map`)
  }

  #ask(line: string, stop: AbortSignal): Promise<string> {
    return this.#runtime.command(line, stop)
  }

  #refused(command: string, answer: string): CurfewError {
    const shown = JSON.stringify(answer.slice(0, 80))
    return new CurfewError(
      'GATEWAY_REFUSED',
      `HAProxy at ${this.#runtime.socketPath} answered ${shown} to ${command}`,
    )
  }

  /** Throws unless HAProxy answers and knows all maps. */
  async check(stop: AbortSignal): Promise<void> {
    const info = await this.#ask('show info', stop)
    if (!/^Pid: \d+$/m.test(info)) throw this.#refused('show info', info)
    await this.all(stop)
  }

  /** Every entry of every map. Throws at the first line that does not read as an entry. */
  async all(stop: AbortSignal): Promise<readonly MapLine[]> {
    const lists = await Promise.all(HAPROXY_MAPS.map((map) => this.#lines(map, stop)))
    return lists.flat()
  }

  /** Every entry of the map of envelopes; none where the configuration has no such map, so that none can stand. */
  async ofEnvelopes(stop: AbortSignal): Promise<readonly MapLine[]> {
    const answer = await this.#ask(`show map ${this.#file('envelopes')}`, stop)
    return answer.startsWith('Unknown map identifier') ? [] : this.#entriesOf('envelopes', answer)
  }

  async #lines(map: HaproxyMap, stop: AbortSignal): Promise<readonly MapLine[]> {
    return this.#entriesOf(map, await this.#ask(`show map ${this.#file(map)}`, stop))
  }

  #entriesOf(map: HaproxyMap, answer: string): readonly MapLine[] {
    if (answer === '') return []
    return answer.split('\n').map((line) => {
      const match = LINE.exec(line)
      if (match === null) throw this.#refused('show map', answer)
      return { map, reference: match[1]!, key: match[2]!, value: match[3] ?? '' }
    })
  }

  /**
   * Sets or adds an entry: `add map` alone would make a second entry of the same key, `set map` alone fails
   * on an absent one. An entry of somebody else at this key is left alone (`GATEWAY_CONFLICT`).
   */
  async upsert(entry: HaproxyEntry, stop: AbortSignal): Promise<void> {
    if (!/^[0-9a-f]{64}$/.test(entry.key) || !COMMAND_SAFE.test(entry.value)) {
      throw new CurfewError('GATEWAY_REFUSED', 'a HAProxy map entry may hold command-safe characters only')
    }
    await this.#runtime.session(stop, (ask) => this.#upsert(entry, ask))
  }

  async #upsert(entry: HaproxyEntry, ask: Ask): Promise<void> {
    const file = this.#file(entry.map)
    const found = await ask(`get map ${file} ${entry.key}`)
    let command: string
    if (/, found=no\b/.test(found)) command = 'add map'
    else if (/, found=yes\b/.test(found)) command = 'set map'
    else throw this.#refused('get map', found)
    if (command === 'set map') {
      const value = /, value="([^"]*)"/.exec(found)?.[1] ?? ''
      if (value === entry.value) return
      if (!isOurs(value)) {
        const message = `map ${entry.map} of HAProxy at ${this.#runtime.socketPath} holds somebody else's entry for this caller`
        throw new CurfewError('GATEWAY_CONFLICT', message)
      }
    }
    const answer = await ask(`${command} ${file} ${entry.key} ${entry.value}`)
    if (answer.startsWith('entry not found')) {
      // It went away between the question and the change.
      const added = await ask(`add map ${file} ${entry.key} ${entry.value}`)
      if (added !== '') throw this.#refused('add map', added)
    } else if (answer !== '') throw this.#refused(command, answer)
  }

  /** Removes exactly this entry; one that is gone already is success. */
  async remove(line: MapLine, stop: AbortSignal): Promise<void> {
    const answer = await this.#ask(`del map ${this.#file(line.map)} #${line.reference}`, stop)
    if (answer !== '' && !answer.startsWith('Key not found')) throw this.#refused('del map', answer)
  }

  /**
   * Writes what the running process holds into the file that a reload reads, atomically. Calls that come
   * while one is at work share one further writing.
   */
  async persist(map: HaproxyMap, stop: AbortSignal): Promise<void> {
    const current = this.#writing.get(map)
    if (current === undefined) {
      const entry: { again: Promise<void> | null; running: Promise<void> } = {
        again: null,
        running: this.#write(map, stop),
      }
      this.#writing.set(map, entry)
      try {
        await entry.running
      } finally {
        if (entry.again === null) this.#writing.delete(map)
      }
      return
    }
    current.again ??= current.running
      .catch(() => undefined)
      .then(() => {
        this.#writing.delete(map)
        return this.persist(map, stop)
      })
    await current.again
  }

  async #write(map: HaproxyMap, stop: AbortSignal): Promise<void> {
    const lines = await this.#lines(map, stop)
    const text = [...new Set(lines.map((line) => `${line.key} ${line.value}\n`))].join('')
    const file = this.#file(map)
    try {
      await this.#replace(file, text)
    } catch (error) {
      throw new CurfewError('GATEWAY_UNREACHABLE', `cannot write the HAProxy map file ${file}`, {
        retriable: true,
        cause: error,
      })
    }
  }
}

/** The edges of one process on this machine. */
export function haproxyEdges(socketPath: string): HaproxyEdges {
  let sequence = 0
  return {
    commands: new HaproxyRuntime(socketPath),
    replace: async (path, text) => {
      const draft = `${path}.${process.pid}.${++sequence}.tmp`
      await writeFile(draft, text, { mode: 0o640, flush: true })
      await rename(draft, path)
    },
  }
}
