import { createHash } from 'node:crypto'
import {
  type DeliveryLedger,
  type LedgerChange,
  type LedgerState,
  MAX_REMEMBERED_IDS,
  type PendingDelivery,
  type ToldIncident,
} from '../alerts/ledger.ts'
import type { TextMap } from '../enforcement/gateways/deny-list-store.ts'
import type { DecisionLedger, LedgerEntry } from '../enforcement/ledger.ts'
import { isLive } from '../enforcement/ledger.ts'
import type { SharedMap } from './shared-map.ts'

/** Decisions that have ended are kept for reading up to this many, newest first. */
const MAX_ENDED = 10_000

/** Decisions and their receipts in a shared map, one entry per decision. */
export function decisionLedger(map: SharedMap): DecisionLedger {
  const ended: string[] = []
  return {
    load: async () => {
      const entries = [...map.entries()].map(([, body]) => JSON.parse(body) as LedgerEntry)
      entries.sort((a, b) =>
        a.decision.time < b.decision.time ? -1 : a.decision.time > b.decision.time ? 1 : 0,
      )
      for (const entry of entries) if (!isLive(entry.status)) ended.push(entry.decision.id)
      return entries
    },
    save: async (entry) => {
      const { id } = entry.decision
      const deletes: string[] = []
      if (!isLive(entry.status) && !ended.includes(id)) {
        ended.push(id)
        if (ended.length > MAX_ENDED) deletes.push(ended.shift()!)
      }
      await map.change(new Map([[id, JSON.stringify(entry)]]), deletes)
    },
    forgetEnded: async (holds) => {
      const deletes: string[] = []
      for (const [id, body] of map.entries()) {
        const entry = JSON.parse(body) as LedgerEntry
        if (!isLive(entry.status) && holds(entry)) deletes.push(id)
      }
      if (deletes.length === 0) return
      await map.change(new Map(), deletes)
      const gone = new Set(deletes)
      ended.splice(0, ended.length, ...ended.filter((id) => !gone.has(id)))
    },
  }
}

/**
 * The deny list's rules in a shared map. Memory holds them, but they count as read only when the store has just said
 * that this process still owns them: while it cannot be asked, somebody else may have taken over and gone on.
 */
export function denyListMap(map: SharedMap): TextMap {
  return {
    entries: async () => {
      await map.confirm()
      return map.entries()
    },
    set: (field, body) => map.change(new Map([[field, body]]), []),
    delete: (field) => map.change(new Map(), [field]),
    ping: () => map.confirm(),
  }
}

/** Deliveries in a shared map: one key per pending delivery, told incident, accepted id and counter. */
export function deliveryLedger(map: SharedMap): DeliveryLedger {
  let sequence = 0
  const pendingKeys = new Map<string, string>()
  const accepted: string[] = []

  const keyOfPending = (sink: string, alertId: string): string => {
    const name = hashed(sink, alertId)
    let key = pendingKeys.get(name)
    if (key === undefined) {
      key = `p:${numbered(++sequence)}:${name}`
      pendingKeys.set(name, key)
    }
    return key
  }

  return {
    load: async (): Promise<LedgerState> => {
      const pending: [string, PendingDelivery][] = []
      const told: ToldIncident[] = []
      const ids: [string, string][] = []
      const omitted: { sink: string; count: number }[] = []
      for (const [key, body] of map.entries()) {
        if (key.startsWith('p:')) pending.push([key, JSON.parse(body) as PendingDelivery])
        else if (key.startsWith('t:')) told.push(JSON.parse(body) as ToldIncident)
        else if (key.startsWith('a:')) ids.push([key, body])
        else if (key.startsWith('o:')) omitted.push(JSON.parse(body) as { sink: string; count: number })
        const number = Number(key.slice(2, 2 + SEQUENCE_DIGITS))
        if ((key.startsWith('p:') || key.startsWith('a:')) && number > sequence) sequence = number
      }
      pending.sort(byKey)
      ids.sort(byKey)
      for (const [key, p] of pending) pendingKeys.set(hashed(p.sink, p.alert.id), key)
      accepted.push(...ids.map(([key]) => key))
      return { pending: pending.map(([, p]) => p), told, accepted: ids.map(([, id]) => id), omitted }
    },
    save: async (change: LedgerChange): Promise<void> => {
      const puts = new Map<string, string>()
      const deletes: string[] = []
      if (change.accepted !== undefined) {
        const key = `a:${numbered(++sequence)}`
        puts.set(key, change.accepted)
        accepted.push(key)
        if (accepted.length > MAX_REMEMBERED_IDS) deletes.push(accepted.shift()!)
      }
      for (const p of change.pending ?? []) puts.set(keyOfPending(p.sink, p.alert.id), JSON.stringify(p))
      const done = change.done
      for (const id of done?.alertIds ?? []) deletes.push(keyOfPending(done!.sink, id))
      for (const t of change.told ?? []) puts.set(`t:${hashed(t.sink, t.incident)}`, JSON.stringify(t))
      for (const f of change.forgotten ?? []) deletes.push(`t:${hashed(f.sink, f.incident)}`)
      for (const o of change.omitted ?? []) puts.set(`o:${hashed(o.sink)}`, JSON.stringify(o))
      await map.change(puts, deletes)
      for (const id of done?.alertIds ?? []) pendingKeys.delete(hashed(done!.sink, id))
    },
  }
}

const SEQUENCE_DIGITS = 15

function numbered(n: number): string {
  return String(n).padStart(SEQUENCE_DIGITS, '0')
}

function hashed(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1
}
