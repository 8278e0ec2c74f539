import { setTimeout as sleep } from 'node:timers/promises'
import type { DeliveryLedger } from '../alerts/ledger.ts'
import type { AlertSink } from '../alerts/sink.ts'
import type { Checkpoint, PartitionStore, StateStore } from '../baseline/store.ts'
import type { GatewayAdapter } from '../enforcement/gateway.ts'
import type { DecisionLedger } from '../enforcement/ledger.ts'
import type { KillSwitch } from './kill-points.ts'

/** Ways to do it wrong that the comparison must notice. */
export const BROKEN = [
  'position-first',
  'outbox-late',
  'outbox-ids-anew',
  'control-late',
  'note-first',
  'taken-late',
  'epoch-unchecked',
] as const
export type Broken = (typeof BROKEN)[number]

/** Shared state lies behind the partitions of the log. */
const FIRST_SHARED = 60_000
const GAP_MS = 150

/** The same object with some members replaced; all others keep their `this`. */
function overlaid<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get: (object, name) => {
      const replaced: unknown = Reflect.get(members, name)
      if (replaced !== undefined) return replaced
      const member: unknown = Reflect.get(object, name, object)
      return typeof member === 'function' ? member.bind(object) : member
    },
  })
}

/** A store that passes the kill points around checkpoints, control records and outboxes, or does it wrong. */
export function seamStore(store: StateStore, kill: KillSwitch, broken: Broken | null): StateStore {
  return overlaid(store, {
    open: async (partition) => {
      const opened = await store.open(partition)
      if (partition >= FIRST_SHARED) return opened
      return wrongPartition(seamPartition(opened, kill), kill, broken)
    },
    putDocument: async (name, version, body) => {
      if (!name.startsWith('knowledge/')) {
        kill.pass('cursor')
        return store.putDocument(name, version, body)
      }
      kill.pass('merge-before')
      const put = await store.putDocument(name, version, body)
      kill.pass('merge-after')
      return put
    },
    request: async (partition, request) => {
      await store.request(partition, request)
      if (request.kind === 'knowledge') kill.pass('merge-asked')
    },
  })
}

function seamPartition(owned: PartitionStore, kill: KillSwitch): PartitionStore {
  return overlaid(owned, {
    commit: async (checkpoint) => {
      kill.pass('commit-before')
      const committed = owned.commit(checkpoint)
      if (kill.isDue('commit-under-way')) setImmediate(() => kill.act())
      await committed
      kill.pass('commit-after')
    },
    appendControl: async (record) => {
      kill.pass('control-before')
      const seq = await owned.appendControl(record)
      kill.pass('control-after')
      return seq
    },
    settleRequests: async (ids) => {
      kill.pass('settle')
      await owned.settleRequests(ids)
    },
    appendOutbox: async (entries, offset) => {
      kill.pass('outbox-before')
      const added = await owned.appendOutbox(entries, offset)
      kill.pass('outbox-after')
      return added
    },
    // The whole list is kept, so that another run can be given the same one.
    trim: (outboxSeq) => owned.trim(outboxSeq, 0),
  })
}

function wrongPartition(owned: PartitionStore, kill: KillSwitch, broken: Broken | null): PartitionStore {
  if (broken === 'position-first') return overlaid(owned, { commit: positionFirst(owned) })
  if (broken === 'outbox-late') return outboxLate(owned, kill)
  if (broken === 'outbox-ids-anew') {
    const life = `.${process.pid}`
    return overlaid(owned, {
      appendOutbox: (entries, offset) =>
        owned.appendOutbox(
          entries.map((e) => ({ ...e, id: e.id + life })),
          offset,
        ),
    })
  }
  return broken === 'control-late' ? controlLate(owned) : owned
}

/** The position is durable before the profiles that it stands for. */
function positionFirst(owned: PartitionStore) {
  return async (checkpoint: Checkpoint) => {
    await owned.commit({ ...checkpoint, puts: new Map(), deletes: [] })
    await sleep(GAP_MS)
    await owned.commit({ ...checkpoint, expected: checkpoint.position })
  }
}

/** Outputs become durable only behind the checkpoint whose profiles say that they exist. */
function outboxLate(owned: PartitionStore, kill: KillSwitch): PartitionStore {
  const waiting: Parameters<PartitionStore['appendOutbox']>[0][number][] = []
  let last = -1
  return overlaid(owned, {
    appendOutbox: async (entries, offset) => {
      waiting.push(...entries)
      last = offset
      return entries.map(() => false)
    },
    commit: async (checkpoint) => {
      const due = waiting.splice(0)
      await owned.commit(checkpoint)
      if (due.length === 0) return
      kill.pass('outputs-owed')
      await owned.appendOutbox(due, last)
    },
  })
}

/** Control records take effect before they are durable. */
function controlLate(owned: PartitionStore): PartitionStore {
  let next: number | null = null
  let writing: Promise<unknown> = Promise.resolve()
  return overlaid(owned, {
    appendControl: async (record) => {
      next ??= (await owned.control(0)).length
      next++
      writing = writing.then(() => sleep(2 * GAP_MS)).then(() => owned.appendControl(record))
      return next
    },
  })
}

/** A gateway that passes the kill points around what it is asked to hold. */
export function seamGateway(gateway: GatewayAdapter, kill: KillSwitch): GatewayAdapter {
  return overlaid(gateway, {
    put: async (rule, stop) => {
      kill.pass('put-before')
      await gateway.put(rule, stop)
      kill.pass('put-after')
    },
  })
}

export function seamDecisions(ledger: DecisionLedger, kill: KillSwitch): DecisionLedger {
  return {
    load: () => ledger.load(),
    save: async (entry) => {
      await ledger.save(entry)
      if (entry.status === 'pending' && entry.receipts.length === 0) kill.pass('noted')
    },
    forgetEnded: (holds) => ledger.forgetEnded(holds),
  }
}

export function seamDeliveries(ledger: DeliveryLedger, kill: KillSwitch): DeliveryLedger {
  return {
    load: () => ledger.load(),
    save: async (change) => {
      await ledger.save(change)
      if (change.done !== undefined) kill.pass('deliver-noted')
    },
  }
}

/** A sink that passes the kill points around a delivery, or notes it before it happened. */
export function seamSink(
  sink: AlertSink,
  kill: KillSwitch,
  noteFirst: ((alertId: string) => Promise<void>) | null,
): AlertSink {
  return overlaid(sink, {
    deliver: async (message, handle, stop) => {
      await noteFirst?.(message.id)
      kill.pass('deliver-before')
      const result = await sink.deliver(message, handle, stop)
      kill.pass('deliver-after')
      return result
    },
  })
}
