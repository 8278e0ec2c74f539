import { setTimeout as sleep } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { DenyList } from '../enforcement/gateways/deny-list.ts'
import { textMapDenyStore } from '../enforcement/gateways/deny-list-store.ts'
import { isLive, type LedgerEntry } from '../enforcement/ledger.ts'
import { openAuditLog } from './audit-log.ts'
import { DECISIONS_MAP, DENY_LIST_MAP } from './build-enforcement.ts'
import { openStore } from './build-storage.ts'
import type { Config } from './config/schema.ts'
import { storedLatches, storeLatches } from './latch.ts'
import { type Latch, type LatchFolder, NO_LATCHES } from './latch-folder.ts'
import { denyListMap } from './ledgers.ts'
import { type Removal, removeRules } from './rule-removal.ts'
import { SharedMap } from './shared-map.ts'

/** What was lifted in the store itself, or why it could not be reached. */
export interface LiftedInStore {
  /** The deny list, where the configuration has one and nobody else emptied it. */
  readonly denyList: Removal | null
  /** Decisions that a restarted Curfew would have enforced again. */
  readonly forgotten: number
  /** A running Curfew saw the latch: it lifted its decisions and emptied its deny list. */
  readonly takenOver: boolean
  /** Whether the latch is in the store. */
  readonly latched: boolean
  readonly trouble: string | null
}

export interface LiftOptions {
  /** Name of the deny list, where it is to be emptied. */
  readonly denyList: string | null
  /** Put into the store; with it all decisions end. */
  readonly latch: Latch | null
  /** Where this machine keeps latches; null when it cannot. */
  readonly folder: LatchFolder | null
  readonly clock: Clock
  readonly reason: string
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
/** A running Curfew has seen the latch by then, */
const SEEN_MS = 5_000
/** and has lifted everything by then. */
const LIFTED_MS = 40_000
const POLL_MS = 100

/**
 * Puts the latch into the store and ends what the store remembers: rules of the deny list, and decisions that would
 * be enforced again at the next start. A running Curfew does that itself when it sees the latch; only when none
 * does, shared state is taken over, which fences one that hangs.
 */
export async function liftInStore(config: Config, options: LiftOptions): Promise<LiftedInStore> {
  const { latch, clock, reason, denyList } = options
  let store: StateStore | null = null
  let latched = false
  try {
    store = await openStore(config, silent)
    if (latch !== null) await storeLatches(store, { ...NO_LATCHES, latches: [latch] })
    latched = latch !== null
    const audit = await openAuditLog({ store, writer: 'panic', clock })
    const target = denyList ?? 'all decisions'
    await audit.append({ actor: 'command line', action: 'enforcement.lift', target, reason })
    // A local store that could be opened belongs to nobody else.
    const shared = config.store.kind === 'redis'
    if (latch !== null && shared && (await isLifted(latch.id, options.folder, store)))
      return { denyList: null, forgotten: 0, takenOver: true, latched, trouble: null }
    const emptied = denyList === null ? null : await emptyDenyList(store, denyList, clock)
    const forgotten = latch === null ? 0 : await forgetDecisions(store, reason)
    if (latch !== null) await storeLatches(store, { ...NO_LATCHES, lifted: [latch.id] })
    return { denyList: emptied, forgotten, takenOver: false, latched, trouble: null }
  } catch (error) {
    if (!(error instanceof CurfewError)) throw error
    const takenOver = latch !== null && (await isLifted(latch.id, options.folder, null))
    return { denyList: null, forgotten: 0, takenOver, latched, trouble: `${error.code}: ${error.message}` }
  } finally {
    await store?.close()
  }
}

/** Waits for a running Curfew to say that it lifted everything for a latch. */
async function isLifted(id: string, folder: LatchFolder | null, store: StateStore | null): Promise<boolean> {
  let patience = SEEN_MS
  for (let waited = 0; waited < patience; waited += POLL_MS) {
    const places = [folder === null ? NO_LATCHES : await folder.read()]
    if (store !== null) places.push(await storedLatches(store))
    if (places.some(({ lifted }) => lifted.includes(id))) return true
    if (places.some(({ seen }) => seen.includes(id))) patience = LIFTED_MS
    await sleep(POLL_MS)
  }
  return false
}

async function emptyDenyList(store: StateStore, name: string, clock: Clock): Promise<Removal | null> {
  const map = await SharedMap.open(store, DENY_LIST_MAP)
  try {
    const list = new DenyList({ name, store: textMapDenyStore(denyListMap(map)), clock, worstCaseDelayMs: 0 })
    const [removal] = await removeRules([list], () => true, false)
    return removal ?? null
  } finally {
    await map.close()
  }
}

async function forgetDecisions(store: StateStore, reason: string): Promise<number> {
  const map = await SharedMap.open(store, DECISIONS_MAP)
  try {
    const puts = new Map<string, string>()
    for (const [id, body] of map.entries()) {
      const entry = JSON.parse(body) as LedgerEntry
      if (!isLive(entry.status) && entry.status !== 'awaiting-approval') continue
      const released: LedgerEntry = { ...entry, status: 'released', statusReason: reason }
      puts.set(id, JSON.stringify(released))
    }
    if (puts.size > 0) await map.change(puts, [])
    return puts.size
  } finally {
    await map.close()
  }
}
