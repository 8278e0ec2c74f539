import { APPS, agentClass, SDKS } from './agents.ts'
import type { Attacker, Slot } from './attacks.ts'
import { DAY, DAYS, HOUR, JUDGE_FROM, LEARN_DAYS, SECOND, START } from './calendar.ts'
import { makeCall, usualPage } from './calls.ts'
import { levelOf, sigmasOf } from './difficulty.ts'
import { principalEntity } from './episodes.ts'
import { EventBuffer } from './event-buffer.ts'
import type { Feature, Level } from './labels.ts'
import { addressAt, addressText } from './networks.ts'
import { OwnModel } from './own-model.ts'
import type { Principal } from './principal.ts'
import { Raid } from './raid.ts'
import { hash, Random } from './random.ts'
import type { Org, Tenant } from './world.ts'

/** Guesses at the log-in form, from an address behind which many people are. */
export function stuffCredentials(attacker: Attacker, tenant: Tenant, slot: Slot): boolean {
  const random = new Random(attacker.world.seed, 71, attacker.book.episodes.length)
  const mobiles = tenant.principals.filter((p) => p.is.model.network === 'mobile')
  if (mobiles.length === 0) return false
  const p = random.pick(mobiles)
  const ip = addressAt(p.is.home, JUDGE_FROM, random.below(1_000))
  if (tenant.addressPairs.has(ip)) return false
  const loud = slot.level === 'D1'
  const agent = agentClass(random.pick(loud ? SDKS : APPS)) + random.below(3)
  const calls = new EventBuffer()
  let time = START + random.between(LEARN_DAYS, DAYS - 1) * DAY
  for (let i = loud ? 150 + random.below(300) : 30 + random.below(50); i > 0; i--) {
    const status = random.chance(0.03) ? 200 : 401
    makeCall(calls, p, tenant.table.login, time, -1, 0, {
      episode: 0,
      random,
      address: () => ip,
      agent,
      nobody: true,
      status,
    })
    time += random.logNormal(loud ? 1.5 : 9, 0.7) * SECOND
  }
  const address = addressText(ip)
  const entities = [
    { type: 'principal', id: `ip:${address}` },
    { type: 'ip', id: address },
  ] as const
  const features: Feature[] = ['errors', 'requests', 'writes']
  const attack = attacker.openAttack(
    slot.type,
    tenant,
    entities,
    slot.level,
    loud ? [...features, 'agent'] : features,
  )
  attacker.book.plan(calls, attack.index)
  tenant.addressPairs.set(ip, attacker.pairOf(attack, calls, entities))
  return true
}

/** Keys made within hours, before the objects are handed out. They live small lives of their own. */
export function addFreshKeys(
  attacker: { readonly world: Attacker['world'] },
  tenant: Tenant,
  count: number,
): Org {
  const random = new Random(attacker.world.seed, 72, tenant.index)
  const org = attacker.world.addOrg(tenant, random)
  const from = START + (LEARN_DAYS + 2 + random.between(0, 8)) * DAY
  for (let i = 0; i < count; i++) {
    const p = attacker.world.addPrincipal(tenant, org, 'newborn', random)
    p.bornAt = from + random.between(0, 20) * HOUR
  }
  return org
}

/** Each key takes little; together they take everything. */
export function exportOverFreshKeys(attacker: Attacker, tenant: Tenant, org: Org, slot: Slot): void {
  const random = new Random(attacker.world.seed, 73)
  const calls = new EventBuffer()
  const keys = org.members
  const begin = Math.max(...keys.map((p) => p.bornAt)) + 2 * HOUR
  let level: Level = 'D4'
  keys.forEach((p, i) => {
    const { table } = tenant
    const resource = p.is.resources[0]!
    let time = begin + random.between(0, 8) * HOUR
    const own = new EventBuffer()
    for (let n = 3 + random.below(5); n > 0; n--) {
      const route = table.of(resource, random.chance(0.3) ? 'export' : 'list')
      time = makeCall(own, p, route, time, -1, usualPage(p, route, random), { episode: 0, random })
      time += random.logNormal(6, 1) * SECOND
    }
    own.forEach((call) => {
      calls.add(call)
    })
    attacker.taken.add(p)
    if (i > 0) return
    const model = new OwnModel(p, hash(attacker.world.seed, 62))
    level = levelOf({ sigmas: sigmasOf(own, table.routes, model), novel: [], adversarial: false })
  })
  const entities = [{ type: 'org' as const, id: `org:${org.name}` }, ...keys.map(principalEntity)]
  const features: Feature[] = ['records', 'bytes', 'requests', 'routes', 'objects']
  const attack = attacker.openAttack(slot.type, tenant, entities, level, features)
  attacker.book.plan(calls, attack.index)
  const pair = attacker.pairOf(attack, calls, entities)
  for (const p of keys) p.pair = pair
}

const SYBIL_SHARE = 0.3

/** A third of the tenant nearly misbehaves for two weeks; then one steals while the others distract. */
export function stealAmongSybils(attacker: Attacker, tenant: Tenant, slot: Slot): boolean {
  const { world, book, taken } = attacker
  const random = new Random(world.seed, 74)
  const able = random.shuffle(tenant.principals.filter((p) => !taken.has(p) && isAble(p)))
  const sybils = able.slice(0, Math.ceil(SYBIL_SHARE * tenant.principals.length))
  // The busiest first: they can take enough without being loud. Whatever level, and if need be in few calls, one steals.
  const candidates = sybils.filter((p) => p.is.rate < 4_000).sort((a, b) => b.is.rate - a.is.rate)
  const tries = candidates.slice(0, 12)
  for (const [i, thief] of [...tries, ...tries, ...tries].entries()) {
    const model = new OwnModel(thief, hash(world.seed, 62))
    if (model.samples.length < 20) continue
    const made = attacker.refine(THEFT, thief, model, slot.level, random, i >= 2 * tries.length)
    if (made === null || (made.level !== slot.level && i < tries.length)) continue
    const attack = attacker.commit(slot.type, made.raid, made.level, THEFT.features)
    for (const p of sybils) taken.add(p)
    const noise = book.open({
      kind: 'noise',
      type: slot.type,
      tenant: tenant.name,
      entities: sybils.filter((p) => p !== thief).map(principalEntity),
      heldOut: attack.heldOut,
      of: attack.id,
    })
    const around = firstTime(made.raid.calls)
    for (const p of sybils) if (p !== thief) book.plan(nearMisses(attacker, p, around, random), noise.index)
    return true
  }
  return false
}

const THEFT = {
  type: 'sybil-theft',
  levels: ['D3'] as const,
  features: ['requests', 'records', 'bytes', 'objects', 'object', 'routes'] as const,
  suits: () => true,
  run(raid: Raid): void {
    const start = raid.usualTime()
    const route = raid.knownRoute(['export', 'list'])
    raid.burst(start, raid.quota(), raid.own(), (_, t) =>
      raid.random.chance(0.5)
        ? raid.strangeStep(t)
        : { route, object: -1, page: usualPage(raid.p, route, raid.random) },
    )
  },
}

function isAble(p: Principal): boolean {
  const { archetype, rate } = p.is
  return archetype !== 'dormant' && archetype !== 'newborn' && archetype !== 'monitor' && rate < 8_000
}

/** Five short bursts in the learning period and one decoy at the time of the theft. */
function nearMisses(attacker: Attacker, p: Principal, around: number, random: Random): EventBuffer {
  const model = new OwnModel(p, hash(attacker.world.seed, 62))
  const raid = new Raid({
    p,
    model,
    random,
    sigmas: 2.4,
    firstDay: 0,
    lastDay: LEARN_DAYS - 1,
    seed: attacker.world.seed,
  })
  if (model.samples.length < 4) return raid.calls
  for (let i = 0; i < 5; i++) {
    const start = raid.usualTime()
    raid.burst(start, Math.min(25, raid.quota()), raid.own(), (_, t) => raid.strangeStep(t))
  }
  if (!random.chance(0.6)) return raid.calls
  const start = around + random.between(-0.5, 0.5) * HOUR
  raid.burst(start, Math.min(25, raid.quota()), raid.own(), (_, t) => raid.strangeStep(t))
  return raid.calls
}

function firstTime(calls: EventBuffer): number {
  let first = Number.POSITIVE_INFINITY
  calls.forEach((call) => {
    first = Math.min(first, call.time)
  })
  return first
}
