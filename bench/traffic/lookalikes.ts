import { ownChain } from './archetypes.ts'
import {
  DAY,
  DAYS,
  END,
  EUROPE_DST,
  HOUR,
  JUDGE_FROM,
  LEARN_DAYS,
  MINUTE,
  offsetAt,
  START,
  ZONES,
} from './calendar.ts'
import { type EpisodeBook, principalEntity } from './episodes.ts'
import type { EntityLabel, Feature } from './labels.ts'
import { homeNetwork } from './networks.ts'
import { OwnModel } from './own-model.ts'
import type { Principal } from './principal.ts'
import { Raid } from './raid.ts'
import { hash, Random } from './random.ts'
import type { Org, Tenant, World } from './world.ts'

export const LOOKALIKE_TYPES = [
  'month-end-close',
  'new-feature',
  'marketing-burst',
  'etl-backfill',
  'travel',
  'role-change',
  'on-call-night',
  'daylight-saving',
  'client-retry-loop',
  'tenant-migration',
  'allowed-pentest',
] as const
type LookalikeType = (typeof LOOKALIKE_TYPES)[number]

const MONTH_END = Date.UTC(2026, 9, 29, 6)

/** Odd and harmless things that happen to callers and tenants in the judged period. */
export class Lookalikes {
  private readonly random: Random
  private readonly world: World
  private readonly book: EpisodeBook
  /** Callers that have a part in an episode of their own. */
  private readonly taken: Set<Principal>
  private readonly heldOut: ReadonlySet<string>

  constructor(world: World, book: EpisodeBook, taken: Set<Principal>, heldOut: ReadonlySet<string>) {
    this.random = new Random(world.seed, 81)
    this.world = world
    this.book = book
    this.taken = taken
    this.heldOut = heldOut
  }

  /** Organisations that move to new keys, and the testers; before the objects are handed out. */
  private readonly moves: { tenant: Tenant; from: Org; to: Org; at: number }[] = []
  private readonly testers: Principal[] = []

  addCallers(moves: number): void {
    for (const tenant of this.world.tenants) {
      const old = tenant.orgs.filter((o) => o.members.length >= 4 && o.members.length <= 60)
      for (const from of this.random.shuffle([...old]).slice(0, Math.min(moves, Math.ceil(old.length / 8)))) {
        const at = START + this.random.between(LEARN_DAYS + 1, DAYS - 3) * DAY
        const to = this.world.addOrg(tenant, this.random)
        for (const p of [...from.members]) {
          const key = this.world.addPrincipal(tenant, to, 'newborn', this.random)
          key.bornAt = at + this.random.between(0, 8) * HOUR
          p.diesAt = Math.min(p.diesAt, at + this.random.between(2, 30) * HOUR)
          this.taken.add(p).add(key)
        }
        this.moves.push({ tenant, from, to, at })
      }
      const tester = this.world.addPrincipal(tenant, this.random.pick(tenant.orgs), 'newborn', this.random)
      tester.bornAt = START + this.random.between(LEARN_DAYS + 1, DAYS - 4) * DAY
      tester.allowListed = true
      this.testers.push(tester)
      this.taken.add(tester)
    }
  }

  /** What happens to many at once, and then single ones until there are so many episodes. */
  plan(count: number): void {
    for (const tenant of this.world.tenants) this.planTenant(tenant)
    for (const { tenant, to, at } of this.moves) {
      this.open('tenant-migration', tenant, to.members.map(principalEntity), at, at + 4 * DAY, [
        'network',
        'agent',
        'requests',
      ])
    }
    for (const tester of this.testers) this.pentest(tester)
    const singles = [this.backfill, this.travel, this.roleChange, this.onCall, this.retryLoop]
    const made = () => this.book.episodes.filter((e) => e.kind === 'lookalike').length
    for (let i = 0, misses = 0; made() < count && misses < 200; i++) {
      const tenant = this.tenantBySize()
      if (!singles[i % singles.length]!.call(this, tenant)) misses++
    }
  }

  private planTenant(tenant: Tenant): void {
    const { featureAt } = tenant
    const all: readonly EntityLabel[] = [{ type: 'tenant', id: tenant.name }]
    this.open('new-feature', tenant, all, featureAt, featureAt + 5 * DAY, ['route', 'routes', 'requests'])
    for (let i = 0; i < 2; i++) {
      const from =
        START +
        Math.floor(this.random.between(LEARN_DAYS, DAYS - 1)) * DAY +
        this.random.between(8, 16) * HOUR
      const to = from + this.random.between(4, 8) * HOUR
      const rate = this.random.between(3, 6)
      for (const p of tenant.principals) {
        if (p.is.model.network === 'mobile')
          p.modifiers.push({ from, to, rate: this.random.chance(0.7) ? rate : 1 })
      }
      this.open('marketing-burst', tenant, all, from, to, ['requests', 'records'])
    }
    const inEurope = tenant.principals.filter((p) => ZONES[p.is.zone]!.back === EUROPE_DST)
    if (inEurope.length > 0) {
      this.open('daylight-saving', tenant, inEurope.map(principalEntity), EUROPE_DST, EUROPE_DST + 3 * DAY, [
        'hours',
      ])
    }
    const closing = this.random.shuffle([...tenant.orgs]).slice(0, Math.ceil(tenant.orgs.length / 10))
    for (const org of closing) this.monthEnd(tenant, org)
  }

  private monthEnd(tenant: Tenant, org: Org): void {
    const busy = org.members.filter((p) => p.is.model.network === 'person' || p.is.archetype === 'partner')
    if (busy.length === 0) return
    for (const p of busy) {
      const chain = ownChain(
        { ...p.is.model, ops: p.is.model.ops.map((w, i) => (i === 3 ? w * 6 : w)) },
        this.random,
      )
      p.modifiers.push({ from: MONTH_END, to: END, rate: this.random.between(1.8, 4), chain })
    }
    this.open('month-end-close', tenant, busy.map(principalEntity), MONTH_END, END - 1, [
      'requests',
      'records',
      'route',
      'hours',
    ])
  }

  private backfill(tenant: Tenant): boolean {
    const p = this.single(tenant, (x) => x.is.archetype === 'etl' || x.is.archetype === 'partner', 60)
    if (p === null) return false
    const raid = this.raidOf(p)
    const start = this.random.chance(0.5) ? raid.nightTime() : raid.usualTime()
    const calls = Math.min(
      1_500,
      Math.round(((p.is.rate / 28) * this.random.between(4, 16)) / (this.random.chance(0.5) ? 2 : 1)),
    )
    const route = raid.knownRoute(['export', 'list'])
    raid.burst(start, calls, raid.own(), (i) => ({ route, object: -1, page: 1 + i }))
    return this.commit('etl-backfill', raid, ['requests', 'records', 'bytes', 'hours'])
  }

  private travel(tenant: Tenant): boolean {
    const p = this.single(tenant, (x) => x.is.model.network === 'person', 20)
    if (p === null) return false
    const from = START + this.random.between(LEARN_DAYS, DAYS - 4) * DAY
    const to = from + this.random.between(2, 7) * DAY
    const zone = (p.is.zone + 1 + this.random.below(ZONES.length - 1)) % ZONES.length
    const apart = (offsetAt(p.is.zone, from) - offsetAt(zone, from)) / HOUR
    const network = homeNetwork(this.world.seed, zone, this.random.below(2 ** 30))
    p.modifiers.push({ from, to, network, shiftHours: ((apart % 24) + 24) % 24 })
    this.open('travel', tenant, [principalEntity(p)], from, Math.min(END - 1, to), ['network', 'hours'])
    return true
  }

  private roleChange(tenant: Tenant): boolean {
    const p = this.single(tenant, (x) => x.is.model.rhythm === 'sessions', 60)
    if (p === null) return false
    const from = START + this.random.between(LEARN_DAYS, DAYS - 6) * DAY
    const all = this.random.shuffle(Array.from({ length: tenant.table.resources }, (_, i) => i))
    const resources = Uint8Array.from(all.slice(0, 4))
    p.modifiers.push({ from, to: END, resources, full: from + 5 * DAY, rate: this.random.between(0.8, 1.5) })
    this.open('role-change', tenant, [principalEntity(p)], from, Math.min(END - 1, from + 7 * DAY), [
      'route',
      'routes',
      'object',
    ])
    return true
  }

  private onCall(tenant: Tenant): boolean {
    const p = this.single(tenant, (x) => x.is.model.network === 'person', 60)
    if (p === null) return false
    const raid = this.raidOf(p)
    const nights = 1 + this.random.below(3)
    const first = raid.day(nights)
    for (let night = 0; night < nights; night++) {
      const calls = 12 + this.random.below(50)
      raid.spreadOut(raid.nightTime(first + night), 2, calls, raid.own(), (_, t) => raid.ownStep(t))
    }
    return this.commit('on-call-night', raid, ['hours', 'requests'])
  }

  private retryLoop(tenant: Tenant): boolean {
    const p = this.single(tenant, (x) => x.is.model.rhythm !== 'probe', 60)
    if (p === null) return false
    const raid = this.raidOf(p)
    const step = raid.ownStep(raid.usualTime())
    const status = this.random.pick([500, 404, 422, 503, 429])
    const calls = 60 + this.random.below(400)
    raid.burst(raid.usualTime(), calls, raid.own({ status }), () => step)
    return this.commit('client-retry-loop', raid, ['errors', 'requests', 'sequence'])
  }

  /** Announced: tries administration and other people's objects for a day. */
  private pentest(p: Principal): void {
    const raid = this.raidOf(p)
    const { admin, login } = p.is.tenant.table
    const { objects } = p.is.tenant
    for (let hour = 0; hour < 30; hour += 3) {
      raid.burst(p.bornAt + hour * HOUR + 10 * MINUTE, 15 + this.random.below(40), raid.own(), (_, t) => {
        const u = this.random.next()
        if (u < 0.4) {
          const route = this.random.pick(admin)
          return { route, object: route.hasObject ? raid.othersObject() : -1 }
        }
        const step = raid.opStep('read', t)
        return { route: step.route === login ? admin[0]! : step.route, object: objects.missing(this.random) }
      })
    }
    this.commit('allowed-pentest', raid, ['errors', 'routes', 'route', 'objects'])
  }

  private raidOf(p: Principal): Raid {
    return new Raid({
      p,
      model: new OwnModel(p, hash(this.world.seed, 82)),
      random: this.random,
      sigmas: 5,
      firstDay: LEARN_DAYS,
      lastDay: DAYS - 2,
      seed: this.world.seed,
    })
  }

  private commit(type: LookalikeType, raid: Raid, features: readonly Feature[]): boolean {
    let from = END
    let to = JUDGE_FROM
    raid.calls.forEach(({ time }) => {
      from = Math.min(from, time)
      to = Math.max(to, time)
    })
    if (from >= to) return false
    const { tenant } = raid.p.is
    this.book.plan(
      raid.calls,
      this.open(type, tenant, [principalEntity(raid.p)], from, Math.min(to, END - 1), features),
    )
    return true
  }

  private open(
    type: LookalikeType,
    tenant: Tenant,
    entities: readonly EntityLabel[],
    from: number,
    to: number,
    features: readonly Feature[],
  ): number {
    const heldOut = this.heldOut.has(type)
    const times = { from: Math.round(from), to: Math.round(to) }
    return this.book.open({
      kind: 'lookalike',
      type,
      tenant: tenant.name,
      entities,
      features,
      heldOut,
      ...times,
    }).index
  }

  /** A caller of some activity that has no part yet. */
  private single(tenant: Tenant, suits: (p: Principal) => boolean, leastRate: number): Principal | null {
    for (let tries = 0; tries < 400; tries++) {
      const p = this.random.pick(tenant.principals)
      const { archetype, rate } = p.is
      if (this.taken.has(p) || !suits(p) || archetype === 'dormant' || archetype === 'newborn') continue
      if (rate < leastRate || rate > 30_000) continue
      const model = new OwnModel(p, hash(this.world.seed, 82))
      if (model.samples.length < 5) continue
      this.taken.add(p)
      return p
    }
    return null
  }

  private tenantBySize(): Tenant {
    let left = this.random.below(this.world.principals.length)
    for (const tenant of this.world.tenants) {
      left -= tenant.principals.length
      if (left < 0) return tenant
    }
    return this.world.tenants[0]!
  }
}
