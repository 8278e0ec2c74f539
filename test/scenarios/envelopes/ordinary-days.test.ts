import { describe, expect, it } from 'vitest'
import { demoHistory, HISTORY_DAYS } from '../../../cli/demo/history.ts'
import { HOUR_MS } from '../../../core/time.ts'
import { demoPartition, eventOf } from '../demo/judged-night.ts'
import { rehearse } from './rehearsal.ts'

describe('ordinary days', () => {
  it('meet no envelope: three weeks of the demo, the nightly batch among them', () => {
    expect(HISTORY_DAYS).toBeGreaterThanOrEqual(7)
    const events = demoHistory().map((line, i) => eventOf(line, i))
    const { calls, callers, refused } = rehearse(events, demoPartition(), HOUR_MS)
    expect(refused.map(({ event, limit, limits }) => [event.principal.label, limit, limits])).toEqual([])
    expect(callers).toBe(new Set(events.map(({ principal }) => principal.id)).size)
    // All but those of the first days, when nobody is known: two of three weeks.
    expect(calls).toBeGreaterThan(0.6 * events.length)
  })
})
