import { describe, expect, it } from 'vitest'
import type { AccessEvent, Token } from '../../../core/event.ts'
import {
  address,
  burst,
  call,
  consumer,
  DAY_MS,
  drain,
  EVERY_DAY,
  HOUR_MS,
  inOrder,
  MINUTE_MS,
  MONDAY,
  OFFICE_HOURS,
  officeHabit,
  partition,
  play,
  profileBytes,
  routine,
} from './traffic.ts'

const orders = officeHabit('orders-svc')
const NIGHT = MONDAY + 16 * DAY_MS + 3 * HOUR_MS

const peers = (days: number, count = 20): AccessEvent[] =>
  inOrder(...Array.from({ length: count }, (_, i) => routine(officeHabit(`svc-${i}`), MONDAY, days, 100 + i)))

const tokenIssuedAt = (iat: number, jti: string): Token => ({
  iss: 'https://id.example',
  sub: 'orders-svc',
  jti,
  iat: Math.floor(iat / 1000),
  exp: Math.floor(iat / 1000) + 3_600,
  scopes: [],
})

describe('the 3 AM download: a service that reads about 50 records a day starts to fetch 10,000', () => {
  function night() {
    const engine = partition()
    play(engine, inOrder(peers(16), routine(orders, MONDAY, 16, 1)))
    const token = tokenIssuedAt(NIGHT, 'night')
    const calls = burst(orders.principal, NIGHT, 400, 2_000, { records: 25, responseBytes: 9_900, token })
    return { engine, calls }
  }

  it('is noticed within 300 records and throttled within 12 calls', () => {
    const { engine, calls } = night()
    let alertAt = 0
    let throttleAt = 0
    calls.slice(0, 40).forEach((event, i) => {
      engine.step(event)
      const { alerts, decisions } = drain(engine)
      if (alerts.length > 0) alertAt ||= i + 1
      if (decisions.length > 0) throttleAt ||= i + 1
    })
    expect(alertAt).toBeGreaterThan(0)
    expect(alertAt * 25).toBeLessThanOrEqual(300)
    expect(throttleAt).toBeGreaterThan(0)
    expect(throttleAt).toBeLessThanOrEqual(12)
  })

  it('tells who, how much and when it was unusual, and points to OWASP API4', () => {
    const { engine, calls } = night()
    const { alerts, decisions } = play(engine, calls.slice(0, 40))
    expect(alerts[0]).toMatchObject({
      transition: 'opened',
      entity: { type: 'principal', id: 'consumer:orders-svc' },
      tenant: 'default',
    })
    expect(alerts.at(-1)!.owasp).toContain('API4:2023')
    expect(alerts.at(-1)!.detectors).toContain('off-hours')
    expect(alerts.at(-1)!.summary).toMatch(/^consumer:orders-svc: .*03:00 UTC/)
    expect(decisions[0]).toMatchObject({ action: 'throttle', mode: 'enforce', incident: alerts[0]!.incident })
  })

  it('ends with the token revoked when the held caller goes on, and with its subject when a new token gets through', () => {
    const { engine, calls } = night()
    const first = play(engine, calls.slice(0, 14)).decisions
    const held = NIGHT + 40_000
    const token = tokenIssuedAt(NIGHT, 'night')
    const second = play(
      engine,
      burst(orders.principal, held, 30, 2_000, { refusedBy: 'curfew', status: 429, token }),
    ).decisions
    const minted = tokenIssuedAt(held + 120_000, 'fresh')
    const third = play(
      engine,
      burst(orders.principal, held + 130_000, 30, 2_000, {
        records: 25,
        responseBytes: 9_900,
        token: minted,
      }),
    ).decisions
    expect([...first, ...second].map((d) => d.action)).toEqual(['throttle', 'revoke-token'])
    expect(second[0]).toMatchObject({ scope: { kind: 'token', jti: 'night' } })
    expect(third[0]).toMatchObject({ action: 'revoke-token', scope: { kind: 'subject', sub: 'orders-svc' } })
  })

  it('does nothing at the gateways in observe mode, but says what it would have done', () => {
    const { calls } = night()
    const engine = partition({ mode: 'observe' })
    play(engine, inOrder(peers(16), routine(orders, MONDAY, 16, 1)))
    const { decisions } = play(engine, calls.slice(0, 40))
    expect(decisions.length).toBeGreaterThan(0)
    expect(decisions.every((d) => d.mode === 'observe')).toBe(true)
  })

  it('is only told, never acted on, for a caller on the allow list', () => {
    const { calls } = night()
    const allow = [
      { tenant: 'default', entity: 'consumer:orders-svc', reason: 'planned migration', expires: null },
    ]
    const engine = partition({ allow })
    play(engine, inOrder(peers(16), routine(orders, MONDAY, 16, 1)))
    const { alerts, decisions } = play(engine, calls)
    expect(alerts.length).toBeGreaterThan(0)
    expect(decisions).toEqual([])
  })

  it('resolves by itself an hour after the last attempt, at the time at which that was due', () => {
    const { engine, calls } = night()
    const played = calls.slice(0, 40)
    play(engine, played)
    engine.tick(NIGHT + DAY_MS)
    const resolved = drain(engine).alerts
    expect(resolved.map((a) => a.transition)).toEqual(['resolved'])
    expect(Date.parse(resolved[0]!.time)).toBe(played.at(-1)!.time + HOUR_MS)
  })

  it('gives the same ids, alerts and decisions from the same log', () => {
    const log = inOrder(peers(16), routine(orders, MONDAY, 16, 1), night().calls)
    const runs = [partition(), partition()].map((engine) => play(engine, log))
    expect(runs[1]).toEqual(runs[0])
    expect(runs[0]!.decisions.length).toBeGreaterThan(0)
  })
})

describe('callers that were never a problem', () => {
  it('a nightly batch is left alone: 3 AM is when it works', () => {
    const batch = {
      principal: consumer('nightly-export'),
      hours: [3],
      weekdays: EVERY_DAY,
      callsPerHour: 200,
      recordsPerCall: 50,
    }
    const engine = partition()
    const log = inOrder(peers(28), routine(batch, MONDAY, 28, 9))
    const split = log.findIndex((e) => e.time >= MONDAY + 14 * DAY_MS)
    play(engine, log.slice(0, split))
    expect(play(engine, log.slice(split))).toEqual({ alerts: [], decisions: [], approvals: [] })
  })

  it('somebody who starts to work on a Saturday is at most mentioned, never acted on', () => {
    const engine = partition()
    play(engine, inOrder(peers(19), routine(orders, MONDAY, 19, 1)))
    const saturday = routine({ ...orders, weekdays: [5] }, MONDAY + 19 * DAY_MS, 1, 4)
    expect(saturday.length).toBeGreaterThan(8)
    const { alerts, decisions } = play(engine, saturday)
    expect(decisions).toEqual([])
    expect(alerts.filter((a) => a.severity === 'high' || a.severity === 'critical')).toEqual([])
  })

  it('a quiet month of 100 principals opens no incident', () => {
    const engine = partition()
    const kinds = [
      { hours: OFFICE_HOURS, weekdays: [0, 1, 2, 3, 4], callsPerHour: 4, recordsPerCall: 5 },
      { hours: [6, 12, 18], weekdays: EVERY_DAY, callsPerHour: 10, recordsPerCall: 20 },
      { hours: [...OFFICE_HOURS, 18, 19, 20], weekdays: EVERY_DAY, callsPerHour: 2, recordsPerCall: 1 },
      { hours: [2], weekdays: EVERY_DAY, callsPerHour: 30, recordsPerCall: 100 },
    ]
    const log = inOrder(
      ...Array.from({ length: 100 }, (_, i) =>
        routine({ principal: consumer(`c${i}`), ...kinds[i % kinds.length]! }, MONDAY, 28, 1_000 + i),
      ),
    )
    const { alerts } = play(engine, log)
    const opened = alerts.filter((a) => a.transition === 'opened')
    expect(opened.map((a) => `${a.time} ${a.summary}`)).toEqual([])
  })

  it('two services that share a name in two tenants do not share a fate', () => {
    const engine = partition()
    const acme = { ...orders, tenant: 'acme' }
    const globex = { ...orders, tenant: 'globex' }
    play(engine, inOrder(routine(acme, MONDAY, 16, 1), routine(globex, MONDAY, 16, 2)))
    const before = profileBytes(engine, orders.principal, 'globex')
    const { alerts, decisions } = play(
      engine,
      burst(orders.principal, NIGHT, 100, 2_000, { tenant: 'acme', records: 25, responseBytes: 9_900 }),
    )
    expect(new Set([...alerts, ...decisions].map((o) => o.tenant))).toEqual(new Set(['acme']))
    expect(profileBytes(engine, orders.principal, 'globex')).toEqual(before)
    const calm = routine(globex, MONDAY + 16 * DAY_MS, 1, 5)
    expect(play(engine, calm)).toMatchObject({ decisions: [] })
  })
})

describe('callers about whom little is known', () => {
  it('a key that is abused in its first hour stands out above every call of its peers, and is never revoked', () => {
    const engine = partition()
    let ordinary = 0
    for (const event of peers(16, 40)) ordinary = Math.max(ordinary, engine.step(event).surprise ?? 0)
    const key = consumer('fresh-key')
    const start = MONDAY + 16 * DAY_MS + 10 * HOUR_MS
    const token = tokenIssuedAt(start, 'fresh')
    const abuse = burst(key, start, 1_500, 2_000, {
      records: 2_000,
      responseBytes: 800_000,
      token,
      credential: 'row-7',
    })
    let abused = 0
    for (const event of abuse) abused = Math.max(abused, engine.step(event).surprise ?? 0)
    expect(abused).toBeGreaterThan(ordinary)
    expect(drain(engine).decisions.filter((d) => d.action.startsWith('revoke'))).toEqual([])
  })

  it('a flood without credentials is about the address it comes from', () => {
    const engine = partition()
    const office = { ...officeHabit('office'), principal: address('203.0.113.9') }
    play(engine, inOrder(peers(16), routine(office, MONDAY, 16, 7)))
    const bystander = profileBytes(engine, consumer('svc-1'))
    const flood = burst(office.principal, NIGHT, 3_000, 100, {
      refusedBy: 'upstream',
      status: 401,
      records: null,
      responseBytes: 80,
    })
    const { alerts, decisions } = play(engine, flood)
    expect(alerts[0]).toMatchObject({ entity: { type: 'ip', id: 'ip:203.0.113.9' } })
    expect(decisions.length).toBeGreaterThan(0)
    expect(decisions.every((d) => d.entity.type === 'ip' && d.scope.kind === 'principal')).toBe(true)
    expect(profileBytes(engine, consumer('svc-1'))).toEqual(bystander)
  })
})

describe('bounded memory', () => {
  it('never evicts an established caller for newcomers, and counts who found no room', () => {
    const engine = partition({ maxPrincipals: 50 })
    play(engine, peers(5, 40))
    const start = MONDAY + 5 * DAY_MS
    const strangers = Array.from({ length: 500 }, (_, i) =>
      call(start + i * 1_000, consumer(`stranger-${i}`)),
    )
    play(engine, strangers)
    expect(engine.residents.size).toBe(50)
    expect(engine.overflowed).toBe(490)
    for (let i = 0; i < 40; i++)
      expect(engine.residents.find('default', consumer(`svc-${i}`))).toBeGreaterThanOrEqual(0)
    // Two days later the strangers' room is free again.
    engine.tick(start + 2 * DAY_MS + MINUTE_MS)
    expect(engine.residents.size).toBe(40)
    engine.step(call(start + 2 * DAY_MS + 2 * MINUTE_MS, consumer('late-comer')))
    expect(engine.residents.find('default', consumer('late-comer'))).toBeGreaterThanOrEqual(0)
  })

  it('forgets who has not called for 90 days, with the share in what is known about all', () => {
    const engine = partition()
    play(engine, inOrder(peers(10, 3), routine(orders, MONDAY, 10, 1)))
    engine.tick(MONDAY + 11 * DAY_MS)
    const others = routine(officeHabit('svc-0'), MONDAY + 60 * DAY_MS, 5, 3)
    play(engine, others)
    const counted = engine.knowledge.sums.prior.count[0]!
    engine.tick(MONDAY + 101 * DAY_MS)
    expect(engine.residents.size).toBe(1)
    expect(engine.knowledge.sums.prior.count[0]).toBe(counted - 3)
  })
})
