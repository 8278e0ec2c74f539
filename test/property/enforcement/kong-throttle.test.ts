import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import type { KongPlugin } from '../../../enforcement/gateways/kong-client.ts'
import type { KongWrite } from '../../../enforcement/gateways/kong-plan.ts'
import { planLift, planPut } from '../../../enforcement/gateways/kong-plan.ts'
import type { KongLimits } from '../../../enforcement/gateways/kong-throttle.ts'
import { kongLimits, limitsOf } from '../../../enforcement/gateways/kong-throttle.ts'

const CONSUMER = '11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa'
const OTHER = '22222222-aaaa-4aaa-8aaa-aaaaaaaaaaaa'
const PERIODS = ['second', 'minute', 'hour', 'day', 'month', 'year'] as const
const ROUTES = [null, 'r1', 'r2']
const SERVICES = [null, 's1', 's2']

/** Kong's rule of precedence: the most specific enabled plugin of a name is the one that runs. */
function inEffect(plugins: readonly KongPlugin[], route: string, service: string): KongPlugin | null {
  const order: readonly (readonly [boolean, boolean, boolean])[] = [
    [true, true, true],
    [true, false, true],
    [false, true, true],
    [true, true, false],
    [false, false, true],
    [true, false, false],
    [false, true, false],
    [false, false, false],
  ]
  for (const [r, s, c] of order) {
    const found = plugins.find(
      (plugin) =>
        plugin.enabled &&
        plugin.route === (r ? route : null) &&
        plugin.service === (s ? service : null) &&
        plugin.consumer === (c ? CONSUMER : null),
    )
    if (found) return found
  }
  return null
}

function applied(plugins: readonly KongPlugin[], writes: readonly KongWrite[]): readonly KongPlugin[] {
  const rows = new Map(plugins.map((plugin) => [plugin.id, plugin]))
  for (const write of writes) {
    if (write.kind === 'delete') {
      rows.delete(write.id)
      continue
    }
    const body = write.body as Record<string, unknown>
    const id = (field: string) => (body[field] as { id: string } | undefined)?.id ?? null
    const fresh = {
      name: String(body.name),
      consumer: id('consumer'),
      route: id('route'),
      service: id('service'),
    }
    const before = rows.get(write.id)
    const base =
      write.kind === 'create' || before === undefined
        ? { ...fresh, config: {}, consumerGroup: null, enabled: true }
        : before
    rows.set(write.id, {
      ...base,
      id: write.id,
      enabled: typeof body.enabled === 'boolean' ? body.enabled : base.enabled,
      config: { ...base.config, ...(body.config as object) },
      tags: body.tags as string[] | null,
    })
  }
  return [...rows.values()]
}

function expectNotLooser(limits: KongLimits, than: KongLimits): void {
  for (const period of PERIODS) {
    const bound = than[period]
    if (bound === null) continue
    expect(limits[period]).not.toBeNull()
    expect(limits[period]!).toBeLessThanOrEqual(bound)
  }
}

const limit = fc.option(fc.integer({ min: 1, max: 500 }), { nil: null })
const config = fc
  .record({ second: limit, minute: limit, hour: limit, day: limit, month: limit, year: limit })
  .filter((one) => Object.values(one).some((value) => value !== null))
  .chain((one) => fc.constantFrom('consumer', 'ip', 'service').map((limit_by) => ({ ...one, limit_by })))
const place = fc.record({
  route: fc.constantFrom(...ROUTES),
  service: fc.constantFrom(...SERVICES),
  consumer: fc.constantFrom(null, CONSUMER, OTHER),
  enabled: fc.boolean(),
  config,
  tags: fc.constantFrom(null, [], ['team-a']),
})
const world = fc
  .uniqueArray(place, {
    maxLength: 8,
    selector: ({ route, service, consumer }) => `${route}|${service}|${consumer}`,
  })
  .map((rows): readonly KongPlugin[] =>
    rows.map((row, i) => ({ ...row, id: `theirs-${i}`, name: 'rate-limiting', consumerGroup: null })),
  )
const wanted = fc.record({
  requests: fc.integer({ min: 1, max: 1_000 }),
  windowSeconds: fc.integer({ min: 1, max: 3_600 }),
})

function throttle(id: string, limits: { requests: number; windowSeconds: number }): Rule {
  const principal = { kind: 'consumer', id: CONSUMER, label: 'svc', verified: true } as const
  return {
    id,
    action: 'throttle',
    scope: { kind: 'principal', principal },
    limit: limits,
    until: wallTime(1_790_000_000_000),
  }
}

function settled(plugins: readonly KongPlugin[], rule: Rule): readonly KongPlugin[] {
  return applied(plugins, planPut(plugins, rule, 'local'))
}

function lifted(plugins: readonly KongPlugin[], id: string): readonly KongPlugin[] {
  const writes = plugins
    .map((plugin) => planLift(plugins, plugin, id, 'local'))
    .filter((write) => write !== null)
  return applied(plugins, writes)
}

const byId = (plugins: readonly KongPlugin[]) => [...plugins].sort((a, b) => (a.id < b.id ? -1 : 1))

describe('a throttle at Kong, whatever plugins are there', () => {
  it('applies on every route and loosens nothing', () => {
    fc.assert(
      fc.property(world, wanted, (before, limits) => {
        const after = settled(before, throttle('dec_a', limits))
        for (const route of ['r1', 'r2', 'r3']) {
          for (const service of ['s1', 's2', 's3']) {
            const now = inEffect(after, route, service)
            expect(now).not.toBeNull()
            expectNotLooser(limitsOf(now!.config), kongLimits(limits))
            const earlier = inEffect(before, route, service)
            if (earlier !== null) expectNotLooser(limitsOf(now!.config), limitsOf(earlier.config))
          }
        }
      }),
    )
  })

  it('is accepted by Kong: no longer period has less than a shorter one', () => {
    fc.assert(
      fc.property(world, wanted, (before, limits) => {
        for (const plugin of settled(before, throttle('dec_a', limits))) {
          if (!plugin.tags?.includes('curfew')) continue
          const values = PERIODS.map((period) => limitsOf(plugin.config)[period]).filter(
            (value) => value !== null,
          )
          expect(values).toEqual([...values].sort((a, b) => a - b))
        }
      }),
    )
  })

  it('needs no second write, and leaves everything as it was found', () => {
    fc.assert(
      fc.property(world, wanted, wanted, (before, one, two) => {
        const first = settled(before, throttle('dec_a', one))
        expect(planPut(first, throttle('dec_a', one), 'local')).toEqual([])
        const both = settled(first, throttle('dec_b', two))
        expect(planPut(both, throttle('dec_a', one), 'local')).toEqual([])
        expect(byId(lifted(lifted(both, 'dec_a'), 'dec_b'))).toEqual(byId(before))
        expect(byId(lifted(lifted(both, 'dec_b'), 'dec_a'))).toEqual(byId(before))
      }),
    )
  })
})
