import { afterAll, describe, expect, it } from 'vitest'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../core/time.ts'
import { linesOf, ReplayFolder } from './replay-command.ts'

const START = Date.UTC(2026, 8, 7)
const folder = new ReplayFolder()
afterAll(() => folder.close())

/** A call every five seconds from 9 to 14 h of each day, and none in the gap. */
function log(days: number, gap: readonly [number, number]): string {
  const lines: string[] = []
  for (let day = 0; day < days; day++) {
    for (let at = START + day * DAY_MS + 9 * HOUR_MS; at < START + day * DAY_MS + 14 * HOUR_MS; at += 5_000) {
      if (at >= gap[0] && at < gap[1]) continue
      const principal = { kind: 'consumer', id: 'steady', label: 'steady' }
      lines.push(
        JSON.stringify({ id: `c-${at}`, time: at, principal, method: 'GET', path: '/v1/x', status: 200 }),
      )
    }
  }
  return `${lines.join('\n')}\n`
}

describe('curfew replay --coverage', () => {
  it('finds a gap inside a log, the same in every run, and leaves all other outputs as they are', async () => {
    const from = START + 8 * DAY_MS + 11 * HOUR_MS
    const path = folder.file('gap.ndjson', log(9, [from, from + 10 * MINUTE_MS]))
    const runs = [1, 2].map((n) => folder.file(`coverage-${n}.ndjson`, ''))
    const words = ['--format', 'canonical', path]
    const plain = await folder.replay(words)
    const first = await folder.replay(['--coverage', runs[0]!, ...words])
    await folder.replay(['--coverage', runs[1]!, ...words])
    const [told, again] = runs.map((run) => folder.read(run))
    expect(first.code).toBe(0)
    expect(first.outputs).toEqual(plain.outputs)
    expect(again).toBe(told)
    const alerts = linesOf(told!)
    expect(alerts.map(({ transition }) => transition)).toEqual(['opened', 'resolved'])
    expect(alerts[0]).toMatchObject({ entity: { type: 'source', id: 'canonical/canonical' }, events: 0 })
    expect(Date.parse(String(alerts[0]?.time)) - from).toBeLessThanOrEqual(3 * MINUTE_MS)
  }, 60_000)
})
