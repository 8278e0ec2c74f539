import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  burst,
  call,
  DAY_MS,
  HOUR_MS,
  MONDAY,
  officeHabit,
  renumber,
  routine,
} from '../../scenarios/engine/traffic.ts'
import { canonicalLog } from './canonical-log.ts'
import { linesOf, ReplayFolder } from './replay-command.ts'
import { NIGHT, story } from './story.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const LOG = story()
const FORMAT = ['--format', 'canonical']

let folder: ReplayFolder
beforeEach(() => {
  folder = new ReplayFolder()
})
afterEach(() => {
  folder.close()
})

describe('the contract of the outputs', () => {
  const ALERT = [
    'id',
    'incident',
    'time',
    'tenant',
    'transition',
    'entity',
    'detectors',
    'severity',
    'score',
    'surprise',
    'summary',
    'reasons',
    'owasp',
    'firstEventTime',
    'lastEventTime',
    'events',
  ]
  const REASON = [
    'detector',
    'feature',
    'observed',
    'expected',
    'range',
    'unit',
    'surprise',
    'weight',
    'comparedWith',
  ]
  const DECISION = [
    'id',
    'time',
    'tenant',
    'entity',
    'action',
    'scope',
    'limit',
    'mode',
    'holdSeconds',
    'incident',
    'reason',
  ]
  const SCORE = ['line', 'index', 'event', 'time', 'tenant', 'entity', 'score', 'surprise']
  const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

  async function outputs() {
    const { outputs } = await folder.replay([...FORMAT, folder.file('log', LOG)])
    return {
      alerts: linesOf(outputs.alerts),
      decisions: linesOf(outputs.decisions),
      scores: linesOf(outputs.scores),
    }
  }

  it('alerts have exactly their members', async () => {
    const { alerts } = await outputs()
    expect(alerts.length).toBeGreaterThan(1)
    for (const alert of alerts) {
      expect(Object.keys(alert).sort()).toEqual([...ALERT].sort())
      for (const time of ['time', 'firstEventTime', 'lastEventTime']) expect(alert[time]).toMatch(ISO)
      expect(alert.transition).toMatch(/^(opened|escalated|resolved)$/)
      expect(alert.severity).toMatch(/^(low|medium|high|critical)$/)
      for (const reason of alert.reasons as object[])
        expect(Object.keys(reason).sort()).toEqual([...REASON].sort())
    }
    expect(new Set(alerts.map((a) => a.id)).size).toBe(alerts.length)
  })

  it('decisions have exactly their members, and belong to an alert', async () => {
    const { alerts, decisions } = await outputs()
    expect(decisions.length).toBeGreaterThan(0)
    for (const decision of decisions) {
      expect(Object.keys(decision).sort()).toEqual([...DECISION].sort())
      expect(decision.time).toMatch(ISO)
      expect(alerts.map((a) => a.incident)).toContain(decision.incident)
      // Without a configuration nothing is ever more than observed.
      expect(decision.mode).toBe('observe')
    }
  })

  it('scores have one line per accepted event, in order of the input, ranked by surprise', async () => {
    const { scores } = await outputs()
    expect(scores.map((s) => s.line)).toEqual(
      Array.from({ length: LOG.split('\n').length - 1 }, (_, i) => i + 1),
    )
    for (const score of scores) {
      expect(Object.keys(score)).toEqual(SCORE)
      if (score.score !== null) expect(score.score as number).toBeLessThanOrEqual(1)
    }
    const top = [...scores].sort((a, b) => (b.surprise as number) - (a.surprise as number))[0]!
    expect(top.entity).toEqual({ type: 'principal', id: 'consumer:svc-2' })
  })

  it('events without an id of their own are named by line and index', async () => {
    const line = JSON.stringify({
      time: '2026-09-07T08:00:00Z',
      principal: { kind: 'consumer', id: 'a' },
      method: 'GET',
      path: '/',
    })
    const { outputs } = await folder.replay([...FORMAT, folder.file('log', `${line}\n${line}\n`)])
    expect(linesOf(outputs.scores).map((s) => s.event)).toEqual(['1:0', '2:0'])
  })
})

describe('a framed victim', () => {
  it('keeps its profile byte for byte when others use its name without proof', async () => {
    const victim = officeHabit('victim')
    renumber()
    const history = canonicalLog(routine(victim, MONDAY, 14, 3))
    const framed = burst({ ...victim.principal, verified: false }, NIGHT, 500, 1_000, {
      records: 1_000,
      responseBytes: 400_000,
      clientIp: '203.0.113.66',
    })
    const check = canonicalLog([call(MONDAY + 15 * DAY_MS + 9 * HOUR_MS, victim.principal)])
    const plain = await folder.replay([...FORMAT, folder.file('plain', history + check)])
    const attacked = await folder.replay([
      ...FORMAT,
      folder.file('attacked', history + canonicalLog(framed) + check),
    ])
    const last = (text: string) => linesOf(text).at(-1)!
    expect(last(attacked.outputs.scores).entity).toEqual({ type: 'principal', id: 'consumer:victim' })
    const about = [...linesOf(attacked.outputs.alerts), ...linesOf(attacked.outputs.decisions)]
    expect(about.filter((o) => (o.entity as { id: string }).id === 'consumer:victim')).toEqual([])
    const attackers = linesOf(attacked.outputs.scores).slice(-501, -1)
    expect(attackers.every((s) => (s.entity as { id: string }).id === 'ip:203.0.113.66')).toBe(true)
    expect(plain.summary).toMatchObject({ principals: 1 })
    expect(attacked.summary).toMatchObject({ principals: 2 })
  })
})
