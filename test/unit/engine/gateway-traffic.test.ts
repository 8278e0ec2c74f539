import { describe, expect, it } from 'vitest'
import { CORE } from '../../../baseline/layout.ts'
import type { ProfileView } from '../../../baseline/slab.ts'
import { DAY_MS } from '../../../core/time.ts'
import { blastRadius, tooWide } from '../../../engine/blast-radius.ts'
import { GatewayTraffic } from '../../../engine/gateway-traffic.ts'
import { type Incident, openIncident } from '../../../engine/incident.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import { call, consumer, MONDAY } from '../../scenarios/engine/traffic.ts'

function caller(today: number, before: number): ProfileView {
  const u32 = new Uint32Array(64)
  u32[CORE.dayEvents / 4] = today
  u32[CORE.previousDayEvents / 4] = before
  return { base: 0, u32 } as unknown as ProfileView
}

function counted(...days: readonly number[]): GatewayTraffic {
  const traffic = new GatewayTraffic()
  for (const [day, calls] of days.entries())
    for (let i = 0; i < calls; i++) traffic.count('edge', MONDAY + day * DAY_MS)
  return traffic
}

describe('the share of a caller', () => {
  it('is that of a busy day in the busiest day of the week', () => {
    expect(counted(1_000, 50).shareOf('edge', caller(10, 300), 1)).toEqual({ callsPerDay: 300, share: 0.3 })
    const eightDays = counted(5_000, 0, 0, 0, 0, 0, 0, 1_000)
    expect(eightDays.shareOf('edge', caller(300, 0), 1).share).toBe(0.3)
  })

  it('takes the others of its partition for the others of all', () => {
    expect(counted(1_000).shareOf('edge', caller(500, 0), 4).share).toBe(0.2)
  })

  it('is never more than all, and nothing for nobody', () => {
    expect(counted(10).shareOf('edge', caller(500, 0), 1).share).toBe(1)
    expect(new GatewayTraffic().shareOf('edge', caller(0, 0), 1).share).toBe(0)
  })

  it('counts gateways beyond the bound together', () => {
    const traffic = new GatewayTraffic()
    for (let i = 0; i < 1_000; i++) traffic.count(`gateway-${i}`, MONDAY)
    const stored = traffic.snapshot()
    expect(Object.keys(stored)).toHaveLength(257)
    expect(stored['']?.[1][0]).toBe(744)
    const again = new GatewayTraffic()
    again.restore(stored)
    expect(again.snapshot()).toEqual(stored)
  })
})

describe('what one decision may cover without a person', () => {
  const principal = consumer('mobile')
  const token = (sub: string) => ({ iss: null, sub, jti: null, iat: null, exp: null, events: 1 })
  const incident = (changes: Partial<Incident>): Incident => ({
    ...openIncident(call(MONDAY, principal), MONDAY),
    ...changes,
  })
  const wide = (rung: number, kind: 'credential' | 'principal', of: Incident) => {
    const scope = kind === 'principal' ? { kind, principal } : { kind, credential: 'key', principal }
    const step = { rung, action: 'block' as const, scope, limit: null, tokenExp: null }
    return tooWide(of, step, blastRadius(of), DEFAULT_SETTINGS)
  }

  it('is one subject once something is revoked', () => {
    const two = incident({ tokens: [token('a'), token('b'), token('a')] })
    expect(blastRadius(two)).toMatchObject({ subjects: 2, tokens: 3 })
    expect(wide(5, 'credential', two)).toBe('it would cover 2 subjects')
    expect(wide(4, 'principal', two)).toBe('it would cover 2 subjects')
    expect(wide(1, 'principal', two)).toBeNull()
    expect(wide(5, 'credential', incident({ tokens: [token('a')] }))).toBeNull()
  })

  it('is a share of the traffic, of callers that are some', () => {
    expect(wide(1, 'principal', incident({ traffic: { callsPerDay: 199, share: 1 } }))).toBeNull()
    expect(wide(1, 'principal', incident({ traffic: { callsPerDay: 200, share: 0.011 } }))).toMatch(/1\.1 %/)
    expect(wide(1, 'principal', incident({ traffic: { callsPerDay: 1e6, share: 0.01 } }))).toBeNull()
  })
})
