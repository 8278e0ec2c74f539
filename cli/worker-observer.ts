import type { EngineMetrics } from '../admin/metrics.ts'
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
    },
    redelivered: () => undefined,
    checkpointed: (durationMs, bytes) => metrics.checkpoint(durationMs / 1000, bytes),
    ownership: () => undefined,
  }
}
