import { describe, expect, it } from 'vitest'
import { CoverageCounter } from '../../../ingest/coverage-counter.ts'
import { call, consumer } from '../../scenarios/engine/traffic.ts'

const T = Date.UTC(2026, 8, 7)
const fresh = () => new CoverageCounter({ slotMs: 10_000, maxGateways: 2 })
const through = (id: string, time = T) => call(time, consumer('a'), { gateway: { kind: 'kong', id } })

describe('counting lines for coverage', () => {
  it('counts fields of served calls only', () => {
    const counter = fresh()
    const token = { iss: null, sub: 'a', jti: 'j', iat: null, exp: null, scopes: [] }
    counter.count('edge', call(T, consumer('a'), { token }))
    counter.count('edge', call(T, consumer('a'), { records: null }))
    counter.count('edge', call(T, consumer('a'), { status: 401, token }))
    expect(counter.take()).toEqual([
      { source: 'edge', gateway: 'edge', slot: T / 10_000, counts: [3, 2, 2, 1, 1] },
    ])
    expect(counter.take()).toEqual([])
  })

  it('tells slots, sources and a bounded number of gateways apart', () => {
    const counter = fresh()
    for (const id of ['a', 'b', 'c', 'd', 'a']) counter.count('edge', through(id))
    counter.count('edge', through('a', T + 10_000))
    counter.count('other', through('d'))
    const rows = counter
      .take()
      .map(({ source, gateway, slot, counts }) => [source, gateway, slot - T / 10_000, counts[0]])
    expect(rows).toEqual([
      ['edge', 'a', 0, 2],
      ['edge', 'b', 0, 1],
      ['edge', '', 0, 2],
      ['edge', 'a', 1, 1],
      ['other', 'd', 0, 1],
    ])
  })

  it('does not believe in a call of the future', () => {
    const counter = fresh()
    counter.count('edge', { ...through('a', T + 90_000), receivedAt: T })
    expect(counter.take()[0]?.slot).toBe(T / 10_000)
  })

  it('stays bounded however many slots the lines name', () => {
    const counter = fresh()
    for (let i = 0; i < 250_000; i++) counter.count('edge', through('a', T - i * 10_000))
    const cells = counter.take()
    expect(cells.length).toBeLessThanOrEqual(200_000)
    expect(cells.reduce((sum, { counts }) => sum + counts[0]!, 0)).toBe(250_000)
  })
})
