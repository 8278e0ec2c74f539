import { describe, expect, it } from 'vitest'
import { demoHistory } from '../../../cli/demo/history.ts'
import { CONNECTIONS, LOG_DELAYS, PAGE_SIZES, WhatIf } from '../../../cli/demo/what-if.ts'
import { FORMATS } from '../../../ingest/formats/catalog.ts'
import { DEMO_SOURCE, ENFORCING } from './judged-night.ts'

const options = {
  history: demoHistory(),
  format: FORMATS.get('kong')!,
  source: DEMO_SOURCE,
  settings: ENFORCING,
}

describe('other ways to make the export', () => {
  const outcomes = new WhatIf(options).all()

  it('come out the same every time', () => {
    expect(new WhatIf(options).all()).toEqual(outcomes)
  })

  it('cover every combination and are all held', () => {
    expect(outcomes).toHaveLength(PAGE_SIZES.length * CONNECTIONS.length * LOG_DELAYS.length)
    for (const { records, pageSize } of outcomes) expect(records).toBeGreaterThanOrEqual(pageSize)
  })

  it('leave no more than 500 records to the export of the demo', () => {
    const plain = outcomes.find((o) => o.pageSize === 25 && o.connections === 1 && o.logDelaySeconds === 0)
    expect(plain?.records).toBeLessThanOrEqual(500)
  })

  it('get more out with a later log', () => {
    for (const pageSize of PAGE_SIZES)
      for (const connections of CONNECTIONS) {
        const row = outcomes.filter((o) => o.pageSize === pageSize && o.connections === connections)
        const records = row.map((o) => o.records!)
        expect(records).toEqual([...records].sort((a, b) => a - b))
      }
  })
})

describe('the same against the envelope of the caller alone', () => {
  const outcomes = new WhatIf(options).enveloped(4)

  it('leaves at most a tenth of the 10,000 records in ten minutes, but for single responses that are larger', () => {
    expect(outcomes).toHaveLength(PAGE_SIZES.length * CONNECTIONS.length)
    for (const { pageSize, records } of outcomes) {
      if (pageSize <= 500) expect(records).toBeLessThanOrEqual(1_000)
      // Two responses may be under way before any is counted.
      else expect(records).toBeLessThanOrEqual(2 * pageSize)
    }
  })
})
