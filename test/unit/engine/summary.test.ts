import { describe, expect, it } from 'vitest'
import type { Reason } from '../../../core/opinion.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import type { Incident } from '../../../engine/incident.ts'
import { summarise } from '../../../engine/summary.ts'
import {
  burst,
  DAY_MS,
  HOUR_MS,
  MONDAY,
  officeHabit,
  partition,
  routine,
} from '../../scenarios/engine/traffic.ts'

const habit = officeHabit('orders')

function incidentOf(): Incident {
  const engine = partition()
  for (const event of routine(habit, MONDAY, 15, 3)) engine.step(event)
  for (const event of burst(habit.principal, MONDAY + 20 * DAY_MS + 3 * HOUR_MS, 80, 2_000))
    engine.step(event)
  return [...engine.book.openIncidents()][0]!
}

const INCIDENT = incidentOf()

const reason = (detector: string, feature: string, observed: number, expected: number): Reason => ({
  detector,
  feature,
  observed,
  expected,
  range: [0, expected],
  unit: 'calls',
  surprise: 5,
  weight: 1,
  comparedWith: 'own history',
})

const SENTENCES: readonly (readonly [Reason, string])[] = [
  [
    reason('new-place', 'network/new-with-client', 160, 0),
    '160 calls from a network and with a client program that are both new in a day (never more than 0 before)',
  ],
  [
    reason('awakening', 'records/after-silence', 12_345, 40),
    '12,345 records after a longer silence than ever in a day (never more than 40 before)',
  ],
  [reason('long-day', 'hours/day', 20, 9), '20 hours with calls in a day (never more than 9 before)'],
  [
    reason('rare-operations', 'operation/DELETE /v1/orders/{id}', 30, 2),
    '30 calls of operations that few callers use in a day (never more than 2 before)',
  ],
]

describe('the sentence about an incident', () => {
  it.each(SENTENCES)('%o', (told, sentence) => {
    expect(summarise({ ...INCIDENT, reasons: [told], detectors: [told.detector] })).toBe(
      `consumer:orders: ${sentence}`,
    )
  })

  it('has words for every detector', () => {
    for (const { name } of DETECTORS) {
      const reasons = [reason(name, FEATURES[name] ?? 'requests/1h', 30, 2)]
      const sentence = summarise({ ...INCIDENT, reasons, detectors: [name] })
      expect(sentence, name).not.toMatch(/undefined|many small deviations/)
    }
  })
})

/** What detectors say that do not speak of requests. */
const FEATURES: Readonly<Record<string, string>> = {
  'off-hours': 'hour-of-week/Sun 03:00 UTC',
  novelty: 'network/new',
  'new-objects': 'object/new',
  sequence: 'sequence/GET /v1/orders/{id}',
}
