import { readFileSync, statSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { demoLogPath } from '../../../cli/demo/demo.ts'
import { demoHistory, HISTORY_END } from '../../../cli/demo/history.ts'

interface Line {
  readonly started_at: number
  readonly consumer: { readonly username: string }
  readonly response: { readonly headers: { readonly 'x-records-returned': string } }
}

const lines = demoHistory()
const parsed = lines.map((line) => JSON.parse(line) as Line)

/** Records of a caller by UTC day. */
function recordsByDay(username: string): readonly number[] {
  const days = new Map<string, number>()
  for (const line of parsed) {
    if (line.consumer.username !== username) continue
    const day = new Date(line.started_at).toISOString().slice(0, 10)
    days.set(day, (days.get(day) ?? 0) + Number(line.response.headers['x-records-returned']))
  }
  return [...days.values()]
}

describe('bundled access log', () => {
  it('is what the generator makes, and small', () => {
    const text = gunzipSync(readFileSync(demoLogPath())).toString('utf8')
    expect(text).toBe(`${lines.join('\n')}\n`)
    expect(statSync(demoLogPath()).size).toBeLessThan(400_000)
  })

  it('has a service that reads about 50 records on each of at least 14 days', () => {
    const days = recordsByDay('orders-svc')
    expect(days.length).toBeGreaterThanOrEqual(14)
    for (const records of days) expect(Math.abs(records - 51)).toBeLessThanOrEqual(15)
  })

  it('has a batch of thousands of records at 3 AM in every night', () => {
    expect(recordsByDay('warehouse-etl')).toHaveLength(21)
    for (const records of recordsByDay('warehouse-etl')) expect(records).toBeGreaterThan(5_000)
    const hours = parsed
      .filter((line) => line.consumer.username === 'warehouse-etl')
      .map((line) => new Date(line.started_at).getUTCHours())
    expect(new Set(hours)).toEqual(new Set([3]))
  })

  it('ends at 02:55 UTC of a weekday, in order', () => {
    expect(new Date(HISTORY_END).toISOString()).toBe('2026-03-18T02:55:00.000Z')
    const days = parsed.map((line) => line.started_at)
    expect(Math.max(...days)).toBeLessThan(HISTORY_END)
  })
})
