import { afterAll, describe, expect, it } from 'vitest'
import { type Call, CallJudge } from '../../../../bench/public/call-judge.ts'
import { controlScores, engineScores } from '../../../../bench/public/scorers.ts'
import { ReplayFolder } from '../../replay/replay-command.ts'

const folder = new ReplayFolder()
afterAll(() => folder.close())

const START = Date.UTC(2026, 8, 7)
const calls: readonly Call[] = Array.from({ length: 500 }, (_, i) => ({
  time: START + i * 1_200_000,
  principal: `user-${i % 3}`,
  method: 'GET',
  path: `/items/${i % 50}`,
  responseBytes: i === 480 ? 5_000_000 : 800 + (i % 7) * 100,
}))

describe('the engine of the public benchmarks', { timeout: 60_000 }, () => {
  it('gives the surprises of `curfew replay --scores`', async () => {
    const lines = calls.map(({ principal, ...rest }) =>
      JSON.stringify({ ...rest, principal: { kind: 'consumer', id: principal } }),
    )
    const log = folder.file('log.ndjson', `${lines.join('\n')}\n`)
    const { code, outputs } = await folder.replay(['--format', 'canonical', log])
    expect(code).toBe(0)
    const replayed = outputs.scores
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { surprise: number | null }).surprise ?? 0)
    expect([...engineScores(calls).scores]).toEqual(replayed)
    expect(Math.max(...replayed)).toBe(replayed[480])
  })

  it('tells which call opened an incident and which were evidence in it', () => {
    const judge = new CallJudge()
    const judged = calls.map((call) => judge.judge(call))
    expect(judged[480]).toMatchObject({ opened: true, hostile: true })
    expect(judged.filter((j) => j.opened && !j.hostile)).toEqual([])
  })

  it('judges a call by its past alone', () => {
    const whole = engineScores(calls).scores
    expect([...engineScores(calls.slice(0, 250)).scores]).toEqual([...whole.subarray(0, 250)])
    for (const control of controlScores(calls)) {
      const part = controlScores(calls.slice(0, 250)).find(({ name }) => name === control.name)!
      expect([...part.scores]).toEqual([...control.scores.subarray(0, 250)])
    }
  })

  it('refuses a call that the format rejects', () => {
    expect(() => new CallJudge().judge({ ...calls[0]!, responseBytes: -1 })).toThrow('rejected')
  })
})
