import { describe, expect, it } from 'vitest'
import type { CanaryAnswer, DrillConfig } from '../../../cli/drill/canary-calls.ts'
import { CurfewAnswers } from '../../../cli/drill/curfew-answers.ts'
import { Drill } from '../../../cli/drill/drill.ts'
import { drillText } from '../../../cli/drill/report.ts'
import { sampleSeed } from '../../contracts/admin/sample-state.ts'

const CONFIG = {
  tenant: 'default',
  principal: 'consumer:curfew-canary',
  callsPerSecond: 200,
  maxCalls: 30,
  patienceSeconds: 1,
} as unknown as DrillConfig
const CALLS_UNTIL_HELD = 4

/** A gateway and a Curfew in memory: the fourth call of the canary gets it throttled. */
class World {
  calls = 0
  held = false
  incident = false
  decided = 0
  sent = 0
  views = 0
  /** What goes wrong in this world. */
  readonly faults: ReadonlySet<string>
  readonly asked: string[] = []

  constructor(...faults: string[]) {
    this.faults = new Set(faults)
  }

  call = async (): Promise<CanaryAnswer> => {
    this.calls++
    if (this.faults.has('unknown')) return { status: 401, trouble: null }
    if (this.faults.has('own limit') && this.calls > 5) return { status: 429, trouble: null }
    if (this.held) return { status: 429, trouble: null }
    if (this.calls >= CALLS_UNTIL_HELD && !this.incident && !this.faults.has('own limit')) this.hold()
    return { status: 200, trouble: null }
  }

  hold(): void {
    this.incident = true
    this.held = true
    this.decided++
    if (!this.faults.has('deaf channel') && !this.faults.has('no budget')) this.sent++
  }

  ask = async (path: string, body?: object) => {
    if (body !== undefined) this.asked.push(path)
    if (this.faults.has('late view') && path.startsWith('/v1/incidents')) {
      if (this.views++ < 3) {
        const isList = path.startsWith('/v1/incidents?')
        return { status: isList ? 200 : 404, body: isList ? { items: [], nextCursor: null } : {} }
      }
    }
    return { status: 200, body: this.answer(path) }
  }

  private answer(path: string): unknown {
    const { incidents = [], decisions = [] } = sampleSeed()
    if (path.startsWith('/v1/status')) {
      const lastError = this.faults.has('deaf channel') ? 'answers 503' : null
      const waiting = this.faults.has('no budget') ? 1 : 0
      return { checks: [], channels: [{ name: 'siem', waiting, sent: this.sent, lastError }] }
    }
    if (path.endsWith('/close')) this.incident = false
    if (path.endsWith('/release') && !this.faults.has('stuck')) this.held = false
    if (path.startsWith('/v1/incidents/'))
      return { ...incidents[0], state: this.incident ? 'open' : 'resolved' }
    if (path.startsWith('/v1/incidents'))
      return { items: this.incident ? [incidents[0]] : [], nextCursor: null }
    const decision = {
      ...decisions[0]!.decision,
      id: `dec_${this.decided}`,
      action: 'throttle',
      incident: incidents[0]!.id,
    }
    const entity = { type: 'principal', id: CONFIG.principal }
    const held = this.faults.has('observing') ? 'observed' : 'in-force'
    const status = this.held ? held : 'released'
    const items = this.decided === 0 ? [] : [{ ...decisions[0], status, decision: { ...decision, entity } }]
    return { items, nextCursor: null }
  }

  drill(stop = new AbortController().signal) {
    const curfew = new CurfewAnswers(this.ask, CONFIG.tenant, CONFIG.principal)
    const parts = { config: CONFIG, call: this.call, curfew, now: () => performance.now() }
    return new Drill({ ...parts, tells: () => !this.faults.has('quiet') }).run(stop)
  }
}

const links = (report: { broken: readonly { link: string }[] }) => report.broken.map(({ link }) => link)

describe('a drill', () => {
  it('has the canary refused and served again, and leaves nothing', async () => {
    const world = new World()
    const report = await world.drill()
    expect(report).toMatchObject({ broken: [], action: 'throttle', told: ['siem'], untold: [], left: null })
    expect(report.releasedMs).not.toBeNull()
    expect([world.held, world.incident]).toEqual([false, false])
    expect(drillText(report)).toContain('every link works')
  })

  it('lifts first what an earlier one left', async () => {
    const world = new World()
    world.hold()
    const report = await world.drill()
    expect(links(report)).toEqual([])
    expect(world.asked[0]).toBe('/v1/decisions/dec_1/release')
    expect(world.decided).toBe(2)
  })

  it('closes what an earlier one left although its incident shows late', async () => {
    const world = new World('late view')
    world.hold()
    const report = await world.drill()
    expect(links(report)).toEqual([])
    expect(world.decided).toBe(2)
    expect([world.held, world.incident]).toEqual([false, false])
  })

  it('cleans up when it is interrupted while the canary is held', async () => {
    const world = new World('deaf channel')
    const stop = new AbortController()
    const running = world.drill(stop.signal)
    while (!world.held) await new Promise((resolve) => setTimeout(resolve, 5))
    stop.abort()
    expect(links(await running)).toEqual(['drill'])
    expect([world.held, world.incident]).toEqual([false, false])
  })

  it.each([
    ['unknown', ['gateway']],
    ['own limit', ['gateway']],
    ['stuck', ['release']],
    ['observing', ['policy']],
    ['deaf channel', ['alert channel siem']],
  ])('names what is broken: %s', async (fault, expected) => {
    const report = await new World(fault).drill()
    expect(links(report)).toEqual(expected)
    expect(drillText(report)).toContain(`BROKEN: ${expected[0]}: `)
  })

  it.each(['quiet', 'no budget'])('does not blame a channel that has nothing to take: %s', async (fault) => {
    const report = await new World(fault).drill()
    expect(report).toMatchObject({ broken: [], told: [], untold: ['siem'] })
  })
})
