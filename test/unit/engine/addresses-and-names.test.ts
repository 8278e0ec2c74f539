import { describe, expect, it } from 'vitest'
import { ANY_ADDRESS, modeFor } from '../../../engine/modes.ts'
import {
  address,
  burst,
  consumer,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MONDAY,
  officeHabit,
  partition,
  play,
  routine,
} from '../../scenarios/engine/traffic.ts'

const NIGHT = MONDAY + 14 * DAY_MS + 3 * HOUR_MS

describe('an address', () => {
  const question = { groups: [], gateway: 'edge', detector: 'volume', action: 'throttle' } as const
  const ip = { ...question, principal: 'ip:203.0.113.9' }

  it('is acted on only where a rule names it, or every address', () => {
    expect(modeFor([{ mode: 'enforce' }], ip)).toBe('observe')
    expect(modeFor([{ gateway: 'edge', action: 'throttle', mode: 'enforce' }], ip)).toBe('observe')
    expect(modeFor([{ principal: 'consumer:a', mode: 'enforce' }], ip)).toBe('observe')
    expect(modeFor([{ principal: ANY_ADDRESS, mode: 'enforce' }], ip)).toBe('enforce')
    expect(modeFor([{ principal: 'ip:203.0.113.9', mode: 'approve' }], ip)).toBe('approve')
  })

  it('has its own rule before the one of every address, however much that one names besides', () => {
    const rules = [
      { principal: 'ip:203.0.113.9', mode: 'observe' },
      { principal: ANY_ADDRESS, gateway: 'edge', detector: 'volume', action: 'throttle', mode: 'enforce' },
    ] as const
    expect(modeFor(rules, ip)).toBe('observe')
  })

  it('is no rule for a caller with a name', () => {
    expect(
      modeFor([{ principal: ANY_ADDRESS, mode: 'enforce' }], { ...question, principal: 'sub:ip:*' }),
    ).toBe('observe')
  })

  it('that floods is told of, and only observed in a partition that enforces', () => {
    const engine = partition()
    const peers = Array.from({ length: 20 }, (_, i) => routine(officeHabit(`svc-${i}`), MONDAY, 14, i))
    const office = { ...officeHabit('office'), principal: address('203.0.113.9') }
    play(engine, inOrder(routine(office, MONDAY, 14, 99), ...peers))
    const flood = burst(office.principal, NIGHT, 3_000, 100, { refusedBy: 'gateway', status: 401 })
    const { alerts, decisions } = play(engine, flood)
    expect(alerts[0]?.entity).toEqual({ type: 'ip', id: 'ip:203.0.113.9' })
    expect(decisions.length).toBeGreaterThan(0)
    expect(decisions.every((d) => d.mode === 'observe')).toBe(true)
  })
})

describe('a name that two stable ids share', () => {
  const night = (twin: boolean) => {
    const engine = partition()
    const thief = officeHabit('orders-svc')
    const other = { ...consumer('orders-svc'), id: 'another' }
    const streams = [routine(thief, MONDAY, 14, 1)]
    if (twin) streams.push(routine({ ...thief, principal: other }, MONDAY, 14, 2))
    play(engine, inOrder(...streams))
    return play(engine, burst(thief.principal, NIGHT, 60, 2_000, { records: 25, responseBytes: 9_900 }))
  }

  it('is acted on only when a person agrees', () => {
    expect(night(false).decisions[0]?.mode).toBe('enforce')
    const { decisions } = night(true)
    expect(decisions.length).toBeGreaterThan(0)
    expect(decisions.every((d) => d.mode === 'approve')).toBe(true)
  })

  it('is told with a hash of the id, so that nobody is taken for the other', () => {
    expect(night(false).alerts[0]?.entity.id).toBe('consumer:orders-svc')
    expect(night(true).alerts[0]?.entity.id).toMatch(/^consumer:orders-svc \([0-9a-f]{8}\)$/)
  })
})
