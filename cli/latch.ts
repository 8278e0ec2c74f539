import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { idOf } from '../core/hash.ts'
import { type Clock, isoTime, type WallTimeMs } from '../core/time.ts'
import type { Config } from './config/schema.ts'
import { type Latch, type LatchCause, LatchFolder, type LatchState, NO_LATCHES } from './latch-folder.ts'

/** Document of the store with the latches that every machine must see. */
const DOCUMENT = 'enforcement-latch'
/** Ids of ended latches that are remembered, so that no place brings an old one back. */
const MAX_RESUMED = 200
const MAX_ATTEMPTS = 20

/** A new latch; the same cause at the same millisecond is the same latch. */
export function newLatch(cause: LatchCause, reason: string, now: WallTimeMs): Latch {
  return { id: idOf('ltc', cause, now, reason), cause, time: isoTime(now), reason }
}

/** Why nothing may be enforced while a latch holds. */
export function latchText({ cause, time, reason }: Latch): string {
  const what = cause === 'panic' ? 'curfew panic' : 'the loss of what was learnt'
  return `latched to observe since ${time} by ${what} (${reason}); \`curfew resume\` ends it`
}

/** What two places hold together. */
export function merged(a: LatchState, b: LatchState): LatchState {
  const union = (x: readonly string[], y: readonly string[]) => [...new Set([...x, ...y])]
  const resumed = union(a.resumed, b.resumed).slice(-MAX_RESUMED)
  const latches = new Map([...a.latches, ...b.latches].map((latch) => [latch.id, latch]))
  for (const id of resumed) latches.delete(id)
  const seen = union(a.seen, b.seen).filter((id) => latches.has(id))
  const lifted = union(a.lifted, b.lifted).filter((id) => latches.has(id))
  return { latches: [...latches.values()], resumed, seen, lifted }
}

/** The latches as the store has them. Throws what the store throws. */
export async function storedLatches(store: StateStore): Promise<LatchState> {
  const { version, body } = await store.getDocument(DOCUMENT)
  return version === 0 ? NO_LATCHES : (JSON.parse(body) as LatchState)
}

/** Adds to what the store has, whoever writes at the same time; returns what it has then. */
export async function storeLatches(store: StateStore, more: LatchState): Promise<LatchState> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { version, body } = await store.getDocument(DOCUMENT)
    const before = version === 0 ? NO_LATCHES : (JSON.parse(body) as LatchState)
    const after = merged(before, more)
    if (version > 0 && JSON.stringify(after) === JSON.stringify(before)) return before
    if ((await store.putDocument(DOCUMENT, version, JSON.stringify(after))) !== null) return after
  }
  throw new CurfewError('STORE_CONFLICT', 'the latches in the store change faster than they can be written', {
    retriable: true,
  })
}

export interface LatchKeeperOptions {
  readonly folder: LatchFolder
  readonly store: StateStore
  /** Puts a resumption on record before it takes effect; rejects when it cannot. */
  readonly audit: (latches: readonly Latch[], reason: string) => Promise<void>
}

/**
 * The latches of a running Curfew: of this machine's folder and of the store, each copied to the other. Either
 * place alone is enough to hold; a resumption in either ends the latch in both.
 */
export class LatchKeeper {
  private readonly options: LatchKeeperOptions
  private state: LatchState = NO_LATCHES
  /** What the store had when it was last reachable. */
  private stored: LatchState = NO_LATCHES

  constructor(options: LatchKeeperOptions) {
    this.options = options
  }

  active(): readonly Latch[] {
    return this.state.latches
  }

  /** Why nothing may be enforced anew, or null. */
  reason(): string | null {
    const latch = this.state.latches[0]
    return latch === undefined ? null : latchText(latch)
  }

  isLifted(id: string): boolean {
    return this.state.lifted.includes(id)
  }

  /** Reads both places, lets each learn from the other, and takes resumptions that wait for their audit. */
  async sync(): Promise<void> {
    const { folder, store } = this.options
    const local = await folder.read()
    let trouble: unknown = null
    try {
      this.stored = await storedLatches(store)
    } catch (error) {
      trouble = error
    }
    // In effect before it is copied: holding back waits for no disk.
    this.state = merged(local, this.stored)
    if (local.requests.length > 0 && trouble === null) {
      const { reason } = local.requests[0]!
      if (this.state.latches.length > 0) {
        await this.options.audit(this.state.latches, reason)
        await this.note({ ...NO_LATCHES, resumed: this.state.latches.map(({ id }) => id) })
      }
      for (const request of local.requests) await folder.settleRequest(request)
    }
    await this.copy(local, trouble === null)
    if (trouble !== null) throw trouble
  }

  /** Latches from now on; the local folder holds it even when the store is away. */
  async set(latch: Latch): Promise<void> {
    await this.note({ ...NO_LATCHES, latches: [latch] })
  }

  /** Tells whoever latched that this Curfew holds to it, or that it has lifted what it held. */
  async mark(mark: 'seen' | 'lifted', id: string): Promise<void> {
    if (!this.state[mark].includes(id)) await this.note({ ...NO_LATCHES, [mark]: [id] })
  }

  private async note(more: LatchState): Promise<void> {
    this.state = merged(this.state, more)
    const local = await this.options.folder.read()
    await this.copy(local, false)
    this.stored = await storeLatches(this.options.store, this.state)
  }

  private async copy(local: LatchState, storeToo: boolean): Promise<void> {
    const { folder, store } = this.options
    const { latches, resumed } = this.state
    const here = new Set(local.latches.map(({ id }) => id))
    for (const latch of latches) if (!here.has(latch.id)) await folder.add(latch)
    for (const id of resumed) if (here.has(id) || !local.resumed.includes(id)) await folder.addResumed(id)
    for (const mark of ['seen', 'lifted'] as const)
      for (const id of this.state[mark]) if (!local[mark].includes(id)) await folder.mark(mark, id)
    if (storeToo && JSON.stringify(merged(this.stored, this.state)) !== JSON.stringify(this.stored))
      this.stored = await storeLatches(store, this.state)
  }
}

/** Latches for a process that detects only: what was learnt is gone. The process that enforces sees it. */
export async function latchLost(
  config: Config,
  store: StateStore,
  detail: string,
  clock: Clock,
): Promise<void> {
  const latch = newLatch('baselines-lost', detail, clock.now())
  const folder = new LatchFolder(config.enforcement.folder)
  const audit = () =>
    Promise.reject(new CurfewError('ABORTED', 'resuming is up to the process that enforces'))
  await new LatchKeeper({ folder, store, audit }).set(latch)
}
