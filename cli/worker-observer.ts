import type { EngineMetrics } from '../admin/metrics.ts'
import type { EnforcementView } from '../enforcement/ledger.ts'
import type { GatewayObserver } from '../enforcement/reconcile.ts'
import type { WorkerObserver } from '../engine/worker.ts'

/** Every reason for which a line can be rejected: the labels of the metric. */
export const REJECT_REASONS = [
  'not-json',
  'truncated',
  'too-long',
  'too-deep',
  'invalid-utf8',
  'missing-field',
  'wrong-type',
  'bad-number',
  'bad-time',
  'time-out-of-bounds',
  'duplicate-key',
  'no-principal',
  'unknown-format',
] as const

/** Counts what a worker does in the metrics of its process. */
export function workerObserver(metrics: EngineMetrics): WorkerObserver {
  return {
    judged: (_, outcome) => {
      if (outcome.duplicate) metrics.duplicates()
      else metrics.verdict(outcome.surprise)
      if (outcome.reusedId) metrics.reusedIds()
    },
    redelivered: () => undefined,
    checkpointed: (durationMs, bytes) => metrics.checkpoint(durationMs / 1000, bytes),
    ownership: () => undefined,
  }
}

/** Counts what is done at the gateways. */
export function gatewayObserver(metrics: EngineMetrics): GatewayObserver {
  return {
    operation: (gateway, operation, outcome) => metrics.gatewayOperation(gateway, operation, outcome),
    lag: (gateway, ms) => metrics.reconcileLag(gateway, ms / 1_000),
  }
}

/** Decisions whose last status is remembered; more than are in force or lately ended. */
const MAX_DECISIONS = 50_000

/** Counts a decision each time it has another status than before; told of every change. */
export function decisionCounter(metrics: EngineMetrics): (view: EnforcementView) => void {
  const last = new Map<string, EnforcementView['status']>()
  return ({ decision, status }) => {
    if (last.get(decision.id) === status) return
    metrics.decision(decision.action, decision.mode, status)
    last.delete(decision.id)
    last.set(decision.id, status)
    const oldest = last.keys().next().value
    if (last.size > MAX_DECISIONS && oldest !== undefined) last.delete(oldest)
  }
}
