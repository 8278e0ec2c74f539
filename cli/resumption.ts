import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { type Clock, isoTime } from '../core/time.ts'
import { openAuditLog } from './audit-log.ts'
import { openStore } from './build-storage.ts'
import type { Config } from './config/schema.ts'
import { LatchKeeper } from './latch.ts'
import type { Latch, LatchFolder } from './latch-folder.ts'

/** What came of a wish to resume. */
export interface Resumption {
  readonly ended: readonly Latch[]
  /** Why the store could not be used from here, or null. */
  readonly trouble: string | null
  /** Nobody could audit it yet: it is noted in the folder. */
  readonly waits: boolean
}

/** A Curfew that runs here takes a wish within its poll. */
const PATIENCE_MS = 10_000
const POLL_MS = 100

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

/**
 * Ends every latch, on record first. Where the store belongs to a running Curfew, or is away, the wish is left in
 * the folder for whoever can audit it.
 */
export async function resumeLatches(
  config: Config,
  folder: LatchFolder,
  reason: string,
  clock: Clock,
): Promise<Resumption> {
  const before = (await folder.read()).latches
  await folder.addRequest(randomBytes(8).toString('hex'), isoTime(clock.now()), reason)
  const trouble = await takeRequests(config, folder, clock)
  if (typeof trouble !== 'string') {
    // A running Curfew that shares the store may have taken the wish first.
    const ended = new Map([...(await gone(before, folder)), ...trouble].map((latch) => [latch.id, latch]))
    return { ended: [...ended.values()], trouble: null, waits: false }
  }
  for (let waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
    const { requests } = await folder.read()
    if (requests.length === 0) return { ended: await gone(before, folder), trouble, waits: false }
    await sleep(POLL_MS)
  }
  return { ended: [], trouble, waits: true }
}

/** Those that the folder does not have any more. */
async function gone(before: readonly Latch[], folder: LatchFolder): Promise<readonly Latch[]> {
  const left = new Set((await folder.read()).latches.map(({ id }) => id))
  return before.filter(({ id }) => !left.has(id))
}

/** The latches that were ended, or why the store cannot be used. */
async function takeRequests(
  config: Config,
  folder: LatchFolder,
  clock: Clock,
): Promise<readonly Latch[] | string> {
  let store: StateStore | null = null
  try {
    store = await openStore(config, silent)
    const audit = await openAuditLog({ store, writer: 'resume', clock })
    const ended: Latch[] = []
    const keeper = new LatchKeeper({
      folder,
      store,
      audit: async (latches, reason) => {
        const target = latches.map(({ id }) => id).join(' ')
        await audit.append({ actor: 'command line', action: 'enforcement.resume', target, reason })
        ended.push(...latches)
      },
    })
    await keeper.sync()
    return ended
  } catch (error) {
    if (!(error instanceof CurfewError) || error.code === 'CONFIG_INVALID') throw error
    return `${error.code}: ${error.message}`
  } finally {
    await store?.close()
  }
}
