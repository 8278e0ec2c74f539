import type { BenchmarkResult, Metric } from '../../../bench/report/result.ts'

export function metric(value: number | null, more: Partial<Metric> = {}): Metric {
  return { value, unit: 'share', better: 'higher', tolerance: 0.01, ...more }
}

export function result(metrics: BenchmarkResult['metrics'], more: Partial<BenchmarkResult> = {}) {
  const whole: BenchmarkResult = {
    benchmark: 'example',
    version: 'bench-v1',
    settings: { seeds: [101, 102], note: 'a list in a string: [1,  2]' },
    metrics,
    curves: {
      detection: [
        {
          name: 'curfew',
          kind: 'own',
          points: [
            [0.5, 0.1],
            [20, 1 / 3],
          ],
        },
      ],
    },
    details: {},
    ...more,
  }
  return whole
}
