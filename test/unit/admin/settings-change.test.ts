import { describe, expect, it } from 'vitest'
import { checkNext, classifyChange, hiddenBy, modeFor, notJudged } from '../../../admin/settings-change.ts'
import {
  type AllowRule,
  type EngineSettings,
  type ModeRule,
  SETTING_SPECS,
  type SettingName,
} from '../../../engine/settings.ts'
import { incidentSample, NIGHT, sampleValues } from '../../contracts/admin/sample-state.ts'

const base: EngineSettings = { version: 1, values: sampleValues, modes: [], allow: [] }
const withModes = (...modes: ModeRule[]) => ({ ...base, modes })
const allow = (entity: string, expires: string | null, reason = 'nightly backup'): AllowRule => ({
  tenant: 't',
  entity,
  reason,
  expires,
})
const withAllow = (...rules: AllowRule[]) => ({ ...base, allow: rules })
const kinds = (from: EngineSettings, to: EngineSettings) =>
  classifyChange(from, to).fields.map((f) => `${f.field} ${f.change}`)

describe('which way a change of the settings goes', () => {
  it.each(Object.keys(SETTING_SPECS) as SettingName[])('knows the direction of %s', (name) => {
    const larger = { ...base, values: { ...base.values, [name]: base.values[name] + 1 } }
    expect(classifyChange(base, larger).change).toBe(SETTING_SPECS[name].largerLoosens ? 'loosen' : 'tighten')
    expect(classifyChange(larger, base).change).toBe(SETTING_SPECS[name].largerLoosens ? 'tighten' : 'loosen')
  })

  it('calls a mixed change a loosening and nothing a neutral one', () => {
    const values = { ...base.values, throttleSurprise: 5, revokeSurprise: 9 }
    expect(classifyChange(base, { ...base, values })).toMatchObject({
      change: 'loosen',
      fields: [{ change: 'tighten' }, { change: 'loosen' }],
    })
    expect(classifyChange(base, base)).toEqual({ change: 'neutral', fields: [] })
  })

  it('compares modes by what holds, not by the list', () => {
    const on = withModes({ mode: 'enforce' })
    expect(kinds(base, on)).toEqual(['modes[everything] tighten'])
    expect(kinds(on, base)).toEqual(['modes[everything] loosen'])
    expect(kinds(on, withModes({ mode: 'enforce' }, { gateway: 'g', mode: 'enforce' }))).toEqual([])
    expect(kinds(on, withModes({ mode: 'enforce' }, { gateway: 'g', mode: 'approve' }))).toEqual([
      'modes[gateway=g] loosen',
    ])
  })

  it('takes the answer of silence for a part of the mode', () => {
    const drop = withModes({ mode: 'approve' })
    const act = withModes({ mode: 'approve', onTimeout: 'act' })
    const extend = withModes({ mode: 'approve', onTimeout: 'extend' })
    expect(kinds(drop, act)).toEqual(['modes[everything] tighten'])
    expect(kinds(act, extend)).toEqual(['modes[everything] loosen'])
    expect(kinds(extend, drop)).toEqual(['modes[everything] loosen'])
    expect(kinds(drop, withModes({ mode: 'approve', onTimeout: 'drop' }))).toEqual([])
  })

  it('sees a loosening that only shows where two rules meet', () => {
    const before = withModes(
      { principal: 'a', mode: 'enforce' },
      { gateway: 'g', mode: 'observe' },
      { mode: 'enforce' },
    )
    const after = withModes({ gateway: 'g', mode: 'observe' }, { mode: 'enforce' })
    expect(kinds(before, after)).toEqual(['modes[principal=a, gateway=g] loosen'])
  })

  it('lets the most specific rule win, in the order of the members', () => {
    const modes: ModeRule[] = [
      { gateway: 'g', action: 'block', mode: 'enforce' },
      { principal: 'a', mode: 'observe' },
      { mode: 'approve' },
    ]
    expect(modeFor(modes, { principal: 'a', gateway: 'g', action: 'block' })).toBe('observe')
    expect(modeFor(modes, { principal: 'b', gateway: 'g', action: 'block' })).toBe('enforce')
    expect(modeFor(modes, {})).toBe('approve')
    expect(modeFor([], {})).toBe('observe')
  })

  it('treats a new or longer exception as a loosening and a shorter or removed one as a tightening', () => {
    const [short, long] = [allow('c', '2026-02-01T00:00:00Z'), allow('c', '2026-03-01T00:00:00Z')]
    expect(kinds(base, withAllow(short))).toEqual(['allow[t/c] loosen'])
    expect(kinds(withAllow(short), withAllow(long))).toEqual(['allow[t/c] loosen'])
    expect(kinds(withAllow(long), withAllow(allow('c', null)))).toEqual(['allow[t/c] loosen'])
    expect(kinds(withAllow(long), withAllow(short))).toEqual(['allow[t/c] tighten'])
    expect(kinds(withAllow(long), base)).toEqual(['allow[t/c] tighten'])
    expect(kinds(withAllow(long), withAllow({ ...long, reason: 'other words' }))).toEqual([
      'allow[t/c] neutral',
    ])
  })
})

describe('what settings must be', () => {
  it('refuses repeated rules and exceptions without end or reason, but keeps old ones', () => {
    const soon = new Date(NIGHT + 86_400_000).toISOString()
    const check =
      (to: EngineSettings, from = base) =>
      () =>
        checkNext(from, to, NIGHT)
    expect(check(withAllow(allow('c', soon), allow('c', soon)))).toThrow('repeats')
    expect(check(withAllow(allow('c', soon, 'short')))).toThrow('at least 10')
    expect(check(withAllow(allow('c', null)))).toThrow('settings.allow.0.expires')
    expect(check(withAllow(allow('c', null)), withAllow(allow('c', null)))).not.toThrow()
    expect(check(withModes({ gateway: 'g', mode: 'observe' }, { mode: 'enforce', gateway: 'g' }))).toThrow(
      'settings.modes.1',
    )
  })
})

describe('planned work', () => {
  const hour = (n: number) => new Date(NIGHT + n * 3_600_000).toISOString()
  const window = (changes: object = {}) => ({
    tenant: 't',
    entity: 'consumer:c',
    from: hour(1),
    to: hour(3),
    reason: 'the yearly export',
    ...changes,
  })
  const planned = (...maintenance: ReturnType<typeof window>[]): EngineSettings => ({ ...base, maintenance })

  it('loosens when it comes and tightens when it goes; one that moves does both', () => {
    const name = `maintenance[t/consumer:c ${hour(1)}]`
    expect(kinds(base, planned(window()))).toEqual([`${name} loosen`])
    expect(kinds(planned(window()), base)).toEqual([`${name} tighten`])
    expect(kinds(planned(window()), planned(window()))).toEqual([])
    expect(kinds(planned(window()), planned(window({ to: hour(2) })))).toEqual([
      `${name} tighten`,
      `${name} loosen`,
    ])
    expect(notJudged(classifyChange(base, planned(window())))).toEqual([name])
  })

  it('needs one caller or one group, a reason, and an end within 90 days', () => {
    const check = (changes: object) => () => checkNext(base, planned(window(changes)), NIGHT)
    expect(check({})).not.toThrow()
    expect(check({ group: 'org:g' })).toThrow('exactly one')
    expect(check({ entity: undefined })).toThrow('exactly one')
    expect(check({ reason: 'short' })).toThrow('at least 10')
    expect(check({ from: hour(3) })).toThrow('behind `from`')
    expect(check({ to: hour(24 * 91) })).toThrow('more than 90 days')
    expect(check({ from: hour(-3), to: hour(-1) })).toThrow('in the past')
    const old = planned(window({ from: hour(-3), to: hour(-1) }))
    expect(() => checkNext(old, old, NIGHT)).not.toThrow()
  })
})

describe('what a loosening would have hidden', () => {
  it('names incidents and why, and says what it cannot tell', () => {
    const incidents = [incidentSample()]
    const values = (over: object) => ({ ...base, values: { ...base.values, ...over } })
    expect(hiddenBy(base, values({ minIncidentSurprise: 10 }), incidents)).toMatchObject([
      { why: 'would not have opened' },
    ])
    expect(hiddenBy(base, values({ throttleSurprise: 10 }), incidents)).toMatchObject([
      { why: expect.stringContaining('throttle') },
    ])
    expect(hiddenBy(base, values({ throttleSurprise: 9 }), incidents)).toEqual([])
    const exempt = withAllow({ tenant: 'default', entity: 'consumer:orders-svc', reason: 'x', expires: null })
    expect(hiddenBy(base, exempt, incidents)).toMatchObject([{ why: expect.stringContaining('allowed') }])
    expect(notJudged(classifyChange(base, values({ impactBytes: 2e7, minIncidentSurprise: 5 })))).toEqual([
      'values.impactBytes',
    ])
  })
})
