import { DAY, HOUR, MINUTE, offsetAt, START } from './calendar.ts'
import { usualPage } from './calls.ts'
import type { Feature, Level } from './labels.ts'
import type { OwnModel } from './own-model.ts'
import type { Principal } from './principal.ts'
import type { Raid, Step } from './raid.ts'

/** One kind of attack on one caller. */
export interface AttackKind {
  readonly type: string
  /** Levels that it can be made to have. */
  readonly levels: readonly Level[]
  readonly features: readonly Feature[]
  readonly adversarial?: boolean
  suits(p: Principal, model: OwnModel): boolean
  /** Makes the calls; `level` says how loud it shall be. */
  run(raid: Raid, level: Level): void
}

const busy = (p: Principal, model: OwnModel) =>
  model.calls >= 60 &&
  model.samples.length >= 40 &&
  p.is.archetype !== 'newborn' &&
  p.is.archetype !== 'dormant'
const person = (p: Principal, model: OwnModel) =>
  busy(p, model) && p.is.model.rhythm === 'sessions' && p.is.archetype !== 'admin'
const notProbe = (p: Principal, model: OwnModel) => busy(p, model) && p.is.model.rhythm !== 'probe'
const steady = (p: Principal, model: OwnModel) =>
  notProbe(p, model) && model.perActiveDay() >= 15 && model.perActiveDay() <= 400 && model.calls >= 150
const withToken = (p: Principal, model: OwnModel) => notProbe(p, model) && p.is.tokenLife > 0

/** Share of a harvest that comes from its bulk route, and of a full page that a list brings on average. */
const BULK_SHARE = 0.35
const PAGE_FILLED = 0.86

/** Page after page of lists and exports; `perCall` is how many records a call brings on average. */
function harvest(raid: Raid): { readonly step: () => Step; readonly perCall: number } {
  const list = raid.knownRoute(['list'])
  const bulk = raid.knownRoute(['export', 'list'])
  const page = PAGE_FILLED * raid.p.is.pageSize
  const ofBulk = bulk.op === 'export' ? raid.p.is.exportRecords : page
  return {
    perCall: BULK_SHARE * ofBulk + (1 - BULK_SHARE) * page,
    step() {
      const route = raid.random.chance(BULK_SHARE) ? bulk : list
      return { route, object: -1, page: usualPage(raid.p, route, raid.random) }
    },
  }
}

function sequentialIds(raid: Raid): (i: number) => Step {
  const { table, objects } = raid.p.is.tenant
  const used = Array.from(raid.p.is.resources, (r) => table.of(r, 'read'))
  const numbered = used.filter((route) => !route.uuid && raid.model.routes.has(route.index))
  const route = numbered[0] ?? used.find((r) => !r.uuid) ?? used[0]!
  const from = raid.othersObject()
  let n = from
  return () => {
    n += raid.random.chance(0.9) ? 1 : 1 + raid.random.below(4)
    return { route, object: objects.nth(route.resource, n) }
  }
}

export const ATTACK_KINDS: readonly AttackKind[] = [
  {
    type: 'key-theft-new-network',
    levels: ['D1', 'D2'],
    features: ['network', 'agent', 'requests', 'records', 'bytes', 'objects', 'hours', 'token', 'object'],
    suits: notProbe,
    run(raid) {
      const start = raid.random.chance(0.5) ? raid.nightTime() : raid.usualTime()
      const pages = harvest(raid)
      const calls = raid.quotaOfRecords(0.5 * pages.perCall)
      raid.burst(start, calls, raid.stranger({ tokenApart: true }), (_, t) =>
        raid.random.chance(0.5) ? raid.strangeStep(t) : pages.step(),
      )
    },
  },
  {
    type: 'key-theft-same-network',
    levels: ['D3', 'D4'],
    features: ['requests', 'records', 'bytes', 'objects', 'object', 'routes', 'sequence', 'hours'],
    suits: notProbe,
    run(raid, level) {
      const start = raid.usualTime()
      const hours = level === 'D4' ? 8 : 3
      const calls = raid.quota(hours)
      raid.spreadOut(start, hours, calls, raid.own({ tokenApart: true }), (_, t) => raid.strangeStep(t))
    },
  },
  {
    type: 'concurrent-token',
    levels: ['D2'],
    features: ['network', 'agent', 'token', 'requests', 'object', 'objects'],
    suits: withToken,
    run(raid) {
      const start = raid.usualTime()
      raid.spreadOut(start, 2, Math.min(60, raid.quota(2)), raid.stranger(), (_, t) => raid.strangeStep(t))
    },
  },
  {
    type: 'bola-sequential',
    levels: ['D2', 'D3', 'D4'],
    features: ['objects', 'object', 'requests', 'records', 'sequence', 'bytes'],
    suits: notProbe,
    run(raid, level) {
      const ids = sequentialIds(raid)
      const hours = level === 'D4' ? 8 : level === 'D3' ? 2 : 1
      const start = raid.usualTime()
      if (hours === 1) raid.burst(start, raid.quota(), raid.own(), ids)
      else raid.spreadOut(start, hours, raid.quota(hours), raid.own(), ids)
    },
  },
  {
    type: 'bola-random',
    levels: ['D1', 'D2'],
    features: ['errors', 'objects', 'object', 'requests', 'agent', 'hours'],
    suits: notProbe,
    run(raid, level) {
      const { objects, table } = raid.p.is.tenant
      const route = table.of(raid.resource(), 'read')
      const start = level === 'D1' ? raid.nightTime() : raid.usualTime()
      raid.burst(start, raid.quota(), raid.own(), () => ({
        route,
        object: raid.random.chance(0.88) ? objects.missing(raid.random) : raid.othersObject(),
      }))
    },
  },
  {
    type: 'bulk-export',
    levels: ['D1', 'D2'],
    features: ['records', 'bytes', 'requests', 'hours', 'route', 'routes'],
    suits: notProbe,
    run(raid, level) {
      const start = level === 'D1' ? raid.nightTime() : raid.usualTime()
      const { step, perCall } = harvest(raid)
      raid.burst(start, raid.quotaOfRecords(perCall), raid.own(), step)
    },
  },
  {
    type: 'slow-scraping',
    levels: ['D5'],
    adversarial: true,
    features: ['requests', 'records', 'bytes', 'objects', 'object'],
    suits: steady,
    run(raid) {
      const from = raid.day(10)
      const extra = raid.random.between(0.1, 0.5)
      for (let day = from; day < from + 10; day++) {
        const calls = Math.round(extra * raid.model.perActiveDay() * (raid.model.callsOn(day) > 0 ? 1 : 0.3))
        raid.blendIn(day, calls, raid.own(), (_, t) => raid.strangeStep(t))
      }
    },
  },
  {
    type: 'privilege-probing',
    levels: ['D2', 'D1'],
    features: ['errors', 'routes', 'route', 'requests'],
    suits: person,
    run(raid, level) {
      const start = raid.usualTime()
      const { admin } = raid.p.is.tenant.table
      const calls = Math.max(level === 'D1' ? 30 : 5, Math.min(120, raid.quota()))
      raid.burst(start, calls, raid.own(), (i) => {
        const route = admin[(i + raid.p.is.index) % admin.length]!
        return { route, object: route.hasObject ? raid.othersObject() : -1 }
      })
    },
  },
  {
    type: 'new-privilege',
    levels: ['D3', 'D2'],
    features: ['route', 'routes', 'writes', 'records', 'sequence', 'requests'],
    suits: person,
    run(raid) {
      const start = raid.usualTime()
      const { admin } = raid.p.is.tenant.table
      const chosen = raid.random.shuffle([...admin]).slice(0, 3)
      const calls = Math.max(3, Math.min(25, raid.quota()))
      raid.burst(start, calls, raid.own({ granted: true }), (i) => {
        const route = chosen[i % chosen.length]!
        return { route, object: route.hasObject ? raid.othersObject() : -1 }
      })
    },
  },
  {
    type: 'insider-off-hours',
    levels: ['D3'],
    features: ['hours', 'requests', 'records'],
    suits: (p, model) => person(p, model) && nightShare(p, model) < 0.03,
    run(raid) {
      const start = raid.nightTime()
      raid.spreadOut(start, 1.5, raid.quota(), raid.own(), (_, t) => raid.ownStep(t))
    },
  },
  {
    type: 'insider-object-mix',
    levels: ['D4', 'D3'],
    features: ['object', 'objects', 'requests', 'records'],
    suits: notProbe,
    run(raid) {
      const days = 1 + raid.random.below(2)
      const from = raid.day(days)
      for (let day = from; day < from + days; day++) {
        const calls = raid.quota(8)
        raid.blendIn(day, calls, raid.own(), (_, t) => {
          const route = raid.knownRoute(['read', 'update'])
          return raid.random.chance(0.6) ? { route, object: raid.othersObject() } : raid.ownStep(t)
        })
      }
    },
  },
  {
    type: 'dormant-awakened',
    levels: ['D1', 'D2'],
    features: ['requests', 'records', 'bytes', 'network', 'agent', 'hours', 'objects', 'object', 'routes'],
    suits: (p, model) => p.is.archetype === 'dormant' && model.samples.length > 0,
    run(raid) {
      const start = raid.usualTime()
      const pages = harvest(raid)
      const calls = raid.quotaOfRecords(0.6 * pages.perCall)
      raid.burst(start, calls, raid.stranger({ tokenApart: true }), (_, t) =>
        raid.random.chance(0.4) ? raid.strangeStep(t) : pages.step(),
      )
    },
  },
  {
    type: 'newborn-abuse',
    levels: ['D2'],
    features: ['requests', 'records', 'bytes', 'objects', 'object', 'routes', 'route'],
    suits: (p, model) =>
      p.is.archetype === 'newborn' &&
      p.bornAt > START + 14.5 * DAY &&
      p.bornAt < START + 26 * DAY &&
      model.samples.length > 20,
    run(raid) {
      const start = raid.p.bornAt + raid.random.between(1, 20) * MINUTE
      const pages = harvest(raid)
      const calls = raid.quotaOfRecords(0.5 * pages.perCall)
      raid.burst(start, calls, raid.own(), (_, t) =>
        raid.random.chance(0.5) ? raid.strangeStep(t) : pages.step(),
      )
    },
  },
  {
    type: 'mass-write',
    levels: ['D2', 'D3', 'D1'],
    features: ['writes', 'requests', 'objects', 'object', 'hours', 'records'],
    suits: notProbe,
    run(raid, level) {
      const start = level === 'D1' ? raid.nightTime() : raid.usualTime()
      const route = raid.knownRoute(['delete', 'update'])
      raid.burst(start, raid.quota(1, 'writes'), raid.own(), () => ({
        route,
        object: raid.random.chance(0.6)
          ? raid.p.ownFrom + raid.random.below(raid.p.ownCount)
          : raid.othersObject(),
      }))
    },
  },
  {
    type: 'expensive-search',
    levels: ['D2', 'D3', 'D4'],
    features: ['requests', 'records', 'routes', 'sequence', 'bytes'],
    suits: notProbe,
    run(raid, level) {
      const start = raid.usualTime()
      const hours = level === 'D4' ? 8 : 2
      const route = raid.knownRoute(['search'])
      raid.spreadOut(start, hours, raid.quota(hours), raid.own(), () => ({
        route,
        object: -1,
        page: raid.random.below(5_000),
      }))
    },
  },
  {
    type: 'mimicry',
    levels: ['D5'],
    adversarial: true,
    features: ['requests', 'records', 'objects', 'object', 'bytes'],
    suits: steady,
    run(raid) {
      const days = 2 + raid.random.below(3)
      const from = raid.day(days)
      for (let day = from; day < from + days; day++) {
        const calls = Math.round(raid.random.between(0.4, 0.8) * raid.model.perActiveDay())
        raid.blendIn(day, calls, raid.own(), (_, t) => raid.strangeStep(t))
      }
    },
  },
  {
    type: 'boiling-frog',
    levels: ['D5'],
    adversarial: true,
    features: ['requests', 'records', 'bytes', 'objects'],
    suits: (p, model) => steady(p, model) && model.perActiveDay() <= 120,
    run(raid) {
      const from = raid.firstDay
      const rise = Math.min(10, raid.lastDay - from)
      for (let d = 0; d < rise; d++) {
        const calls = Math.round(raid.model.perActiveDay() * (1.05 ** (d + 1) - 1))
        raid.blendIn(from + d, calls, raid.own(), (_, t) => raid.ownStep(t))
      }
      const start = raid.usualTime(from + rise)
      raid.harmFrom = start
      raid.burst(start, Math.round(raid.model.perActiveDay() * 1.2), raid.own(), harvest(raid).step)
    },
  },
  {
    type: 'warmup-poisoning',
    levels: ['D3', 'D2'],
    features: ['requests', 'records', 'bytes', 'objects', 'routes'],
    suits: (p, model) => steady(p, model) && model.perActiveDay() <= 90,
    run(raid) {
      for (let day = 0; day < 6; day++) {
        const pages = harvest(raid)
        raid.blendIn(day, Math.round(raid.model.perActiveDay() * 0.6), raid.own(), (_, t) =>
          raid.random.chance(0.5) ? raid.ownStep(t) : pages.step(),
        )
      }
      const start = raid.usualTime()
      raid.harmFrom = start
      raid.burst(start, raid.quota(), raid.own(), harvest(raid).step)
    },
  },
]

function nightShare(p: Principal, model: OwnModel): number {
  const utc = (3 * HOUR - offsetAt(p.is.zone, START + 15 * DAY) + DAY) % DAY
  return model.shareAt(Math.floor(utc / HOUR))
}
