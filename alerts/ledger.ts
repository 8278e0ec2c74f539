import type { AlertRecord } from '../core/incident.ts'

/** Ids of accepted alerts that a ledger remembers, newest kept: what makes accepting one twice harmless. */
export const MAX_REMEMBERED_IDS = 200_000

/** An alert that one sink has not delivered yet. Key: sink and alert id. */
export interface PendingDelivery {
  readonly sink: string
  readonly alert: AlertRecord
  /** Wall time, epoch ms. */
  readonly acceptedAt: number
  /** The digest that it was put into before the first attempt to send that digest, else null. */
  readonly digest: string | null
}

/** What people at one sink were last told about an incident. Key: sink and incident. */
export interface ToldIncident {
  readonly sink: string
  readonly incident: string
  /** What the sink needs to edit its message; null when it cannot. */
  readonly handle: string | null
  readonly alert: AlertRecord
  /** Hash of the decision statuses that the message shows. */
  readonly shown: string
}

/** Why a delivery is over. */
export type DeliveryOutcome = 'delivered' | 'refused' | 'abandoned'

/** One atomic change; absent members change nothing. */
export interface LedgerChange {
  /** Id of a newly accepted alert, to be remembered. */
  readonly accepted?: string
  /** Inserted, or replaced where the key exists. */
  readonly pending?: readonly PendingDelivery[]
  /** No longer pending. */
  readonly done?: {
    readonly sink: string
    readonly alertIds: readonly string[]
    readonly outcome: DeliveryOutcome
  }
  readonly told?: readonly ToldIncident[]
  readonly forgotten?: readonly { readonly sink: string; readonly incident: string }[]
  /** Alerts beyond the bound of a sink's queue that no digest has reported yet: the new total. */
  readonly omitted?: readonly { readonly sink: string; readonly count: number }[]
}

/** What an earlier process left behind. */
export interface LedgerState {
  /** In the order in which they were first saved. */
  readonly pending: readonly PendingDelivery[]
  readonly told: readonly ToldIncident[]
  /** The newest {@link MAX_REMEMBERED_IDS} accepted ids, oldest first. */
  readonly accepted: readonly string[]
  readonly omitted: readonly { readonly sink: string; readonly count: number }[]
}

/**
 * Where deliveries survive a restart. `save` applies the whole change or nothing and is durable once
 * resolved; a failure is a `CurfewError` (`STORE_UNREACHABLE`, retriable) and the same change may be saved
 * again. One process writes to it at a time.
 */
export interface DeliveryLedger {
  load(): Promise<LedgerState>
  save(change: LedgerChange): Promise<void>
}
