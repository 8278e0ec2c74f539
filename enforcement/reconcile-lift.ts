import type { WallTimeMs } from '../core/time.ts'
import type { GatewayAdapter } from './gateway.ts'
import { receiptDetail } from './ledger.ts'
import { callGateway } from './reconcile-call.ts'

/** What lifting rules at one gateway came to. */
export interface LiftReport {
  readonly gateway: string
  readonly removed: readonly string[]
  readonly failed: readonly { readonly id: string; readonly detail: string }[]
}

/**
 * Removes rules with our mark straight at a gateway, with nothing else of Curfew running: all of them, or only
 * those that ended by `endedBy`. Throws when the gateway cannot be read; goes on past rules that cannot be
 * removed and reports them.
 */
export async function liftGateway(
  gateway: GatewayAdapter,
  options: {
    readonly endedBy: WallTimeMs | null
    readonly stop: AbortSignal
    readonly callTimeoutMs: number
  },
): Promise<LiftReport> {
  const { endedBy, stop, callTimeoutMs } = options
  const rules = await callGateway((signal) => gateway.list(signal), callTimeoutMs, stop)
  const chosen = rules.filter((rule) => endedBy === null || rule.until <= endedBy)
  const removed: string[] = []
  const failed: { id: string; detail: string }[] = []
  for (const id of new Set(chosen.map((rule) => rule.id))) {
    try {
      await callGateway((signal) => gateway.remove(id, signal), callTimeoutMs, stop)
      removed.push(id)
    } catch (error) {
      failed.push({ id, detail: receiptDetail(error instanceof Error ? error.message : String(error)) })
    }
  }
  return { gateway: gateway.name, removed, failed }
}
