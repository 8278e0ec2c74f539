import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { Screen } from '../../../cli/demo/screen.ts'
import { StatusRuns } from '../../../cli/demo/status-runs.ts'

it('tells runs of status codes and counts what left before the first refusal', () => {
  const runs = new StatusRuns()
  const served = { status: 200, records: 25 }
  const throttled = { status: 429, records: 0 }
  for (const answer of [served, served, throttled, served, throttled, { status: 401, records: 0 }])
    runs.add(answer)
  expect(runs.text(new Screen(new PassThrough(), false))).toBe(
    '200 x 2 -> 429 x 1 -> 200 x 1 -> 429 x 1 -> 401 x 1',
  )
  expect(runs.recordsBeforeHold).toBe(50)
  expect(runs.records).toBe(75)
})
