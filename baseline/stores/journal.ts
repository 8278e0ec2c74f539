import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CurfewError } from '../../core/errors.ts'
import { FrameFile, syncFolder } from './frame-file.ts'
import { GroupQueue } from './group-queue.ts'

/** State in memory that a journal makes durable. */
export interface JournaledState {
  /** Carries out a record of this journal. Live and recovery take the same path. */
  apply(record: Buffer): void
  /** Records that build the state as it is at the time of the call, however it changes while they are read. */
  snapshot(): Iterable<Buffer>
  /** About how large a snapshot would be. */
  readonly liveBytes: number
}

/** What one caller wants written, decided against the state with everything accepted before it. */
export interface Change<Result> {
  readonly records: readonly Buffer[]
  readonly result: Result
}

export interface JournalOptions {
  /** The log is compacted when it is larger than this and than twice the live state. */
  readonly minLogBytes: number
  /** Told when something unreadable was left out; the state is the last good one. */
  readonly onDamage: (detail: string) => void
}

interface Work<Draft> {
  /** Null when the work was refused. */
  prepare(draft: Draft): readonly Buffer[] | null
  settle(failure: unknown): void
}

/** Records of one frame; a group larger than this is written in several. */
const GROUP_BYTES = 32 * 1024 * 1024
const GROUP_WORK = 1_024
const SNAPSHOT_FRAME_BYTES = 4 * 1024 * 1024
const SNAPSHOT_END = Buffer.from('end')

function pack(records: readonly Buffer[]): Buffer[] {
  const parts: Buffer[] = []
  for (const record of records) {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(record.length)
    parts.push(length, record)
  }
  return parts
}

function* unpack(payload: Buffer): Generator<Buffer> {
  for (let at = 0; at < payload.length; ) {
    const end = at + 4 + payload.readUInt32LE(at)
    yield payload.subarray(at + 4, end)
    at = end
  }
}

function generationsIn(names: readonly string[], kind: 'log' | 'snapshot'): number[] {
  const found: number[] = []
  for (const name of names) {
    const match = /^(log|snapshot)-(\d{1,12})\.bin$/.exec(name)
    if (match?.[1] === kind) found.push(Number(match[2]))
  }
  return found.sort((a, b) => b - a)
}

/**
 * State in memory, changes in a log. Files: `snapshot-N` is the state at the start of `log-N`; generation 0
 * needs no snapshot. State = newest good snapshot + the logs from its number on, in order. One earlier
 * generation is kept, so one unreadable snapshot loses nothing.
 */
export class Journal<State extends JournaledState, Draft> {
  readonly #folder: string
  readonly #draft: (state: State) => Draft
  readonly #options: JournalOptions
  readonly #queue: GroupQueue<Work<Draft>>
  #state: State
  #file: FrameFile
  #generation: number
  #snapshotGeneration: number
  #compactAt: number
  #compactNow = false
  #compaction: Promise<void> | undefined

  private constructor(
    folder: string,
    draft: (state: State) => Draft,
    options: JournalOptions,
    found: { state: State; file: FrameFile; generation: number; snapshotGeneration: number },
  ) {
    this.#folder = folder
    this.#draft = draft
    this.#options = options
    this.#state = found.state
    this.#file = found.file
    this.#generation = found.generation
    this.#snapshotGeneration = found.snapshotGeneration
    this.#compactAt = options.minLogBytes
    this.#queue = new GroupQueue((waiting) => this.#flush(waiting))
  }

  /** The durable state: nothing is visible in it before it is on disk. */
  get state(): State {
    return this.#state
  }

  /** Opens the journal of a folder, made when absent. Throws `STORE_CORRUPT` when no state is certain. */
  static async open<State extends JournaledState, Draft>(
    folder: string,
    make: () => State,
    draft: (state: State) => Draft,
    options: JournalOptions,
  ): Promise<Journal<State, Draft>> {
    await mkdir(folder, { recursive: true })
    await syncFolder(join(folder, '..'))
    const names = await readdir(folder)
    for (const name of names) if (name.endsWith('.tmp')) await rm(join(folder, name))
    const { state, generation: first } = await newestSnapshot(folder, names, make, options)
    const logs = generationsIn(names, 'log')
    const last = Math.max(first, logs[0] ?? 0)
    if (logs.length === 0 && first === 0) {
      const file = await FrameFile.create(join(folder, 'log-0.bin'), 0)
      await syncFolder(folder)
      return new Journal(folder, draft, options, { state, file, generation: 0, snapshotGeneration: 0 })
    }
    for (let generation = first; generation < last; generation++) {
      const { file, tail } = await replay(folder, generation, state)
      await file.close()
      if (tail !== null) {
        throw new CurfewError(
          'STORE_CORRUPT',
          `${file.path} is damaged at byte ${tail.offset}: a later log exists`,
        )
      }
    }
    const { file, tail } = await replay(folder, last, state)
    if (tail !== null) {
      options.onDamage(`${file.path}: ${tail.bytes} unreadable bytes cut at byte ${tail.offset}`)
      await file.cut()
    }
    return new Journal(folder, draft, options, { state, file, generation: last, snapshotGeneration: first })
  }

  /** Decides, writes, then applies. Durable when resolved; `decide` may throw to refuse without any effect. */
  submit<Result>(decide: (draft: Draft) => Change<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      let change: Change<Result>
      this.#queue.push({
        prepare: (draft) => {
          try {
            change = decide(draft)
          } catch (error) {
            reject(error)
            return null
          }
          return change.records
        },
        settle: (failure) => (failure === undefined ? resolve(change.result) : reject(failure)),
      })
    })
  }

  /**
   * What the state no longer holds has left the files when it resolves: two generations in a row are written
   * anew, because an earlier one is kept. Rejects with `STORE_UNREACHABLE` when that did not work.
   */
  async scour(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      await this.#compaction
      const before = this.#snapshotGeneration
      this.#compactNow = true
      await this.submit(() => ({ records: [], result: undefined }))
      await this.#queue.idle()
      await this.#compaction
      if (this.#snapshotGeneration === before)
        throw new CurfewError('STORE_UNREACHABLE', `${this.#folder} cannot be compacted`, { retriable: true })
    }
  }

  /** Resolves when everything submitted so far has settled. */
  async idle(): Promise<void> {
    await this.#queue.idle()
  }

  /** Finishes what is under way and closes the files. */
  async close(): Promise<void> {
    await this.#queue.idle()
    await this.#compaction
    await this.#file.close()
  }

  async #flush(waiting: readonly Work<Draft>[]): Promise<number> {
    const draft = this.#draft(this.#state)
    const accepted: Work<Draft>[] = []
    const records: Buffer[] = []
    let bytes = 0
    let taken = 0
    while (taken < waiting.length && taken < GROUP_WORK && bytes < GROUP_BYTES) {
      const work = waiting[taken]!
      const wanted = work.prepare(draft)
      taken++
      if (wanted === null) continue
      accepted.push(work)
      for (const record of wanted) {
        records.push(record)
        bytes += record.length
      }
    }
    let failure: unknown
    try {
      if (records.length > 0) {
        await this.#file.append(pack(records))
        for (const record of records) this.#state.apply(record)
      }
    } catch (error) {
      failure = error
    }
    for (const work of accepted) work.settle(failure)
    if (failure === undefined) await this.#compactWhenDue()
    return taken
  }

  async #compactWhenDue(): Promise<void> {
    if (this.#compaction !== undefined) return
    const due = this.#file.size >= Math.max(this.#compactAt, 2 * this.#state.liveBytes)
    if (!due && !this.#compactNow) return
    this.#compactNow = false
    const next = this.#generation + 1
    let file: FrameFile
    try {
      file = await FrameFile.create(this.#path('log', next), next)
      await syncFolder(this.#folder)
    } catch (error) {
      this.#postpone(error)
      return
    }
    const records = this.#state.snapshot()
    const full = this.#file
    this.#file = file
    this.#generation = next
    this.#compaction = this.#compact(next, records, full).finally(() => {
      this.#compaction = undefined
    })
  }

  /** Writes the snapshot beside the running log, then drops what two generations no longer need. */
  async #compact(generation: number, records: Iterable<Buffer>, full: FrameFile): Promise<void> {
    try {
      await full.close()
      const path = this.#path('snapshot', generation)
      await writeSnapshot(`${path}.tmp`, generation, records)
      await rename(`${path}.tmp`, path)
      await syncFolder(this.#folder)
      const keep = this.#snapshotGeneration
      this.#snapshotGeneration = generation
      const names = await readdir(this.#folder)
      for (const kind of ['log', 'snapshot'] as const) {
        for (const old of generationsIn(names, kind)) if (old < keep) await rm(this.#path(kind, old))
      }
      this.#compactAt = this.#options.minLogBytes
    } catch (error) {
      this.#postpone(error)
    }
  }

  #postpone(error: unknown): void {
    this.#compactAt = this.#file.size + this.#options.minLogBytes
    const why = error instanceof Error ? error.message : String(error)
    this.#options.onDamage(`${this.#folder}: compaction failed and is put off: ${why}`)
  }

  #path(kind: 'log' | 'snapshot', generation: number): string {
    return join(this.#folder, `${kind}-${generation}.bin`)
  }
}

async function replay(folder: string, generation: number, state: JournaledState) {
  const path = join(folder, `log-${generation}.bin`)
  try {
    return await FrameFile.open(path, generation, (payload) => {
      for (const record of unpack(payload)) state.apply(record)
    })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new CurfewError('STORE_CORRUPT', `${path} is missing`, { cause: error })
    }
    throw error
  }
}

async function writeSnapshot(path: string, generation: number, records: Iterable<Buffer>): Promise<void> {
  const file = await FrameFile.create(path, generation)
  try {
    let frame: Buffer[] = []
    let bytes = 0
    for (const record of records) {
      frame.push(record)
      bytes += record.length
      if (bytes < SNAPSHOT_FRAME_BYTES) continue
      await file.append(pack(frame), false)
      frame = []
      bytes = 0
    }
    if (frame.length > 0) await file.append(pack(frame), false)
    await file.append([SNAPSHOT_END])
  } finally {
    await file.close()
  }
}

async function newestSnapshot<State extends JournaledState>(
  folder: string,
  names: readonly string[],
  make: () => State,
  options: JournalOptions,
): Promise<{ readonly state: State; readonly generation: number }> {
  for (const generation of generationsIn(names, 'snapshot')) {
    const path = join(folder, `snapshot-${generation}.bin`)
    const state = make()
    let whole = false
    try {
      const { file, tail } = await FrameFile.open(path, generation, (payload) => {
        whole = payload.equals(SNAPSHOT_END)
        if (!whole) for (const record of unpack(payload)) state.apply(record)
      })
      await file.close()
      if (whole && tail === null) return { state, generation }
    } catch (error) {
      if (!(error instanceof CurfewError) || error.code !== 'STORE_CORRUPT') throw error
    }
    options.onDamage(`${path} is damaged; the previous snapshot and its logs are used`)
    await rename(path, `${path}.damaged`)
  }
  return { state: make(), generation: 0 }
}
