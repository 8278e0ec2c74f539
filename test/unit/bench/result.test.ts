import { describe, expect, it } from 'vitest'
import { changedSettings, compareResults } from '../../../bench/report/compare.ts'
import { metricLines, standingOf } from '../../../bench/report/result.ts'
import { metric, result } from './results.ts'

describe('standing of a metric', () => {
  it.each([
    ['goal', metric(0.8, { floor: 0.6, goal: 0.8 })],
    ['floor', metric(0.7, { floor: 0.6, goal: 0.8 })],
    ['floor', metric(0.61, { floor: 0.6, goal: 0.8, interval: [0.56, 0.66] })],
    ['missed', metric(0.61, { floor: 0.6, goal: 0.8, interval: [0.5, 0.7] })],
    ['missed', metric(0.59, { floor: 0.6 })],
    ['missed', metric(null, { floor: 0.6 })],
    ['none', metric(0.59)],
    ['floor', metric(35, { unit: 'events', better: 'lower', floor: 40, goal: 20, interval: [30, 90] })],
    ['missed', metric(41, { unit: 'events', better: 'lower', floor: 40, goal: 20 })],
    ['goal', metric(20, { unit: 'events', better: 'lower', floor: 40, goal: 20 })],
  ] as const)('%s', (standing, subject) => {
    expect(standingOf(subject)).toBe(standing)
  })

  it('is printed beside the value', () => {
    const lines = metricLines(result({ detected: metric(0.7, { floor: 0.6, interval: [0.65, 0.75] }) }))
    expect(lines).toEqual(['detected     70.0 %  [65.0 %, 75.0 %]  floor 60.0 %  floor met'])
  })
})

describe('a comparison', () => {
  const before = result({
    same: metric(0.5),
    within: metric(0.5),
    better: metric(0.5),
    worse: metric(0.5),
    latency: metric(10, { unit: 'events', better: 'lower', tolerance: 1 }),
    information: metric(10, { unit: 'count', better: 'neither', tolerance: 0 }),
    gone: metric(1),
    lost: metric(5, { unit: 'events' }),
  })
  const after = result(
    {
      same: metric(0.5),
      within: metric(0.495),
      better: metric(0.6),
      // The tolerance of the result under review must not excuse itself.
      worse: metric(0.4, { tolerance: 1 }),
      latency: metric(20, { unit: 'events', better: 'lower', tolerance: 1 }),
      information: metric(11, { unit: 'count', better: 'neither', tolerance: 0 }),
      lost: metric(null, { unit: 'events' }),
      fresh: metric(1),
    },
    { settings: { seeds: [101], note: 'a list in a string: [1,  2]' } },
  )

  it('judges each metric by the tolerance of the earlier result', () => {
    const verdicts = compareResults(before, after).map(({ metric, verdict }) => `${metric} ${verdict}`)
    expect(verdicts).toEqual([
      'same same',
      'within within',
      'better better',
      'worse worse',
      'latency worse',
      'information changed',
      'gone removed',
      'lost worse',
      'fresh added',
    ])
  })

  it('names settings that differ, and refuses different benchmarks', () => {
    expect(changedSettings(before, after)).toEqual(['seeds: [101,102] -> [101]'])
    expect(() => compareResults(before, { ...after, benchmark: 'other' })).toThrow('example')
  })
})
