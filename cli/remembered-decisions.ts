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
import { denyListMap } from './ledgers.ts'
import { type Removal, removeRules } from './rule-removal.ts'
import { SharedMap } from './shared-map.ts'

/** What was lifted in the store itself, or why it could not be reached. */
export interface LiftedInStore {
  /** The deny list, where the configuration has one. */
  readonly denyList: Removal | null
  /** Decisions that a restarted Curfew would have enforced again. */
  readonly forgotten: number
  readonly trouble: string | null
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

/**
 * Ends what the store of the configuration remembers: rules of the deny list, and decisions that would be
 * enforced again at the next start. A store that is not there, or that a running Curfew has open, is reported
 * and left alone. Taking shared state over fences a running Curfew on Redis: it can write no new rule.
 */
export async function liftInStore(
  config: Config,
  options: {
    readonly denyList: string | null
    readonly decisions: boolean
    readonly clock: Clock
    readonly reason: string
  },
): Promise<LiftedInStore> {
  let store: StateStore
  try {
    store = await openStore(config, silent)
  } catch (error) {
    if (!(error instanceof CurfewError)) throw error
    return { denyList: null, forgotten: 0, trouble: `${error.code}: ${error.message}` }
  }
  try {
    const audit = await openAuditLog({ store, writer: 'panic', clock: options.clock })
    await audit.append({
      actor: 'command line',
      action: 'enforcement.lift',
      target: options.denyList ?? 'all decisions',
      reason: options.reason,
    })
    const denyList =
      options.denyList === null ? null : await emptyDenyList(store, options.denyList, options.clock)
    const forgotten = options.decisions ? await forgetDecisions(store, options.reason) : 0
    return { denyList, forgotten, trouble: null }
  } catch (error) {
    if (!(error instanceof CurfewError)) throw error
    return { denyList: null, forgotten: 0, trouble: `${error.code}: ${error.message}` }
  } finally {
    await store.close()
  }
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
