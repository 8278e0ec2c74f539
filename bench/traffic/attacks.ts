import { ATTACK_KINDS, type AttackKind } from './attack-kinds.ts'
import { DAY, DAYS, JUDGE_FROM, LEARN_DAYS } from './calendar.ts'
import { largest, levelOf, sigmasOf } from './difficulty.ts'
import { ANY_ROUTE, type Episode, type EpisodeBook, principalEntity, RoutePicker } from './episodes.ts'
import type { EventBuffer } from './event-buffer.ts'
import { type EntityLabel, FEATURES, type Feature, LEVELS, type Level } from './labels.ts'
import { OwnModel } from './own-model.ts'
import type { PairPicker, Principal } from './principal.ts'
import { Raid } from './raid.ts'
import { hash, Random } from './random.ts'
import type { Tenant, World } from './world.ts'

/** Kinds that are about more than one caller; made apart. */
export const SPECIAL_KINDS: Readonly<Record<string, readonly Level[]>> = {
  'credential-stuffing': ['D1', 'D2'],
  'fresh-keys-export': ['D4', 'D3'],
  'sybil-theft': ['D3'],
}
export const ATTACK_TYPES: readonly string[] = [
  ...ATTACK_KINDS.map((k) => k.type),
  ...Object.keys(SPECIAL_KINDS),
]

/** Shares of D1 to D5. */
const MIX = [0.2, 0.25, 0.25, 0.2, 0.1]
/** Standard deviations aimed at, by level. */
const AIM: readonly (readonly [number, number])[] = [
  [10, 25],
  [4.5, 7],
  [2.3, 3.6],
  [1.2, 1.8],
  [1, 1],
]
/** Calls of an attack at the least, by level: what is over after five calls nobody stops, and it takes little. */
const LEAST_CALLS: readonly (readonly [number, number])[] = [
  [90, 500],
  [45, 120],
  [25, 60],
  [25, 60],
  [40, 40],
]
/** Kinds that are over after a few calls by their nature. */
const BRIEF = new Set(['new-privilege', 'privilege-probing', 'concurrent-token', 'newborn-abuse'])
/** Ordinary calls in 28 days of a victim at the least: only a busy caller hides anything. */
const LEAST_RATE = [60, 60, 150, 300, 100]
/** Share of a model's calls of a route that the days left for a pair will surely bring. */
const GIVEN_SHARE = 0.25
const FIRST_DAY = LEARN_DAYS
const LAST_DAY = DAYS - 2

/** An attack to be made. */
export interface Slot {
  readonly type: string
  readonly level: Level
}

/** Every kind at least once, and beyond that what the mix of levels lacks most. */
export function slots(count: number, random: Random): Slot[] {
  const made: Slot[] = []
  const have = LEVELS.map(() => 0)
  const take = (type: string, allowed: readonly Level[]) => {
    const level = allowed.reduce((best, l) => (lack(l) > lack(best) ? l : best))
    have[LEVELS.indexOf(level)]!++
    made.push({ type, level })
  }
  const lack = (level: Level) => {
    const i = LEVELS.indexOf(level)
    return MIX[i]! * count - have[i]!
  }
  const allowedOf = (type: string) => SPECIAL_KINDS[type] ?? ATTACK_KINDS.find((k) => k.type === type)!.levels
  for (const type of random.shuffle([...ATTACK_TYPES])) if (made.length < count) take(type, allowedOf(type))
  const repeatable = ATTACK_TYPES.filter((type) => type !== 'fresh-keys-export' && type !== 'sybil-theft')
  while (made.length < count) {
    const level = LEVELS.reduce((best, l) => (lack(l) > lack(best) ? l : best))
    const types = repeatable.filter((type) => allowedOf(type).includes(level))
    take(random.pick(types), [level])
  }
  return made
}

/** Plans attacks into a world: finds victims, makes raids of the wanted level, picks their paired negatives. */
export class Attacker {
  readonly world: World
  readonly book: EpisodeBook
  /** Callers that already have a part in an episode of their own. */
  readonly taken: Set<Principal>
  private readonly heldOut: ReadonlySet<string>
  private readonly maxCalls: number
  private made = 0

  constructor(world: World, book: EpisodeBook, taken: Set<Principal>, heldOut: ReadonlySet<string>) {
    this.world = world
    this.book = book
    this.taken = taken
    this.heldOut = heldOut
    this.maxCalls = world.plan.attacks > 60 ? 900 : 1_500
  }

  /**
   * Makes one attack on one caller of a tenant; false when nobody there suits. `anySize` takes victims who call
   * seldom, and attacks of few calls, too.
   */
  attack(tenant: Tenant, slot: Slot, anySize = false): boolean {
    const kind = ATTACK_KINDS.find((k) => k.type === slot.type)!
    const random = new Random(this.world.seed, 61, this.made++)
    let best: { raid: Raid; level: Level } | null = null
    let tried = 0
    for (const p of random.shuffle([...tenant.principals])) {
      if (tried >= 40) break
      if (this.taken.has(p) || p.allowListed || p.is.rate > 20_000 || p.is.archetype === 'monitor') continue
      if ((kind.type === 'dormant-awakened') !== (p.is.archetype === 'dormant')) continue
      if ((kind.type === 'newborn-abuse') !== (p.is.archetype === 'newborn')) continue
      if (p.is.rate < (anySize ? 30 : LEAST_RATE[LEVELS.indexOf(slot.level)]!)) continue
      const model = new OwnModel(p, hash(this.world.seed, 62))
      if (!kind.suits(p, model)) continue
      tried++
      const made = this.refine(kind, p, model, slot.level, random, anySize)
      if (made === null) continue
      if (best === null || made.level === slot.level) best = made
      if (made.level === slot.level) break
    }
    if (best === null) return false
    this.commit(kind.type, best.raid, best.level, kind.features)
    return true
  }

  /** Tries with other sizes until the level is the wanted one; null when every try has too many or too few calls. */
  refine(kind: AttackKind, p: Principal, model: OwnModel, wanted: Level, random: Random, anySize = false) {
    const [low, high] = AIM[LEVELS.indexOf(wanted)]!
    const aim = random.between(low, high)
    const [few, many] = LEAST_CALLS[LEVELS.indexOf(wanted)]!
    const least = anySize || BRIEF.has(kind.type) ? 4 : Math.round(random.between(few, many))
    let sigmas = aim
    let found: { raid: Raid; level: Level } | null = null
    for (let attempt = 0; attempt < 5; attempt++) {
      const raid = new Raid({
        p,
        model,
        random: new Random(this.world.seed, 63, p.is.index, attempt),
        sigmas,
        firstDay: FIRST_DAY,
        lastDay: LAST_DAY,
        leastCalls: wanted === 'D1' ? least : 0,
        seed: this.world.seed,
      })
      kind.run(raid, wanted)
      const measured = sigmasOf(raid.calls, p.is.tenant.table.routes, model)
      const loudness = { sigmas: measured, novel: [...raid.novel], adversarial: kind.adversarial ?? false }
      const level = levelOf(loudness)
      if (raid.calls.count >= (wanted === 'D1' ? 4 : least) && raid.calls.count <= this.maxCalls) {
        if (level === wanted) return { raid, level }
        found = { raid, level }
      }
      sigmas *= Math.max(0.2, Math.min(5, aim / Math.max(0.1, largest(loudness))))
    }
    return found
  }

  /** Puts a raid into the log and gives it its paired negative. */
  commit(type: string, raid: Raid, level: Level, features: readonly Feature[]): Episode {
    const attack = this.openAttack(type, raid.p.is.tenant, [principalEntity(raid.p)], level, [
      ...features,
      ...raid.novel,
    ])
    attack.harmAfter = raid.harmFrom
    this.book.plan(raid.calls, attack.index)
    raid.p.pair = this.pairOf(attack, raid.calls, [principalEntity(raid.p)], raid.model.routes)
    this.taken.add(raid.p)
    return attack
  }

  openAttack(
    type: string,
    tenant: Tenant,
    entities: readonly EntityLabel[],
    level: Level,
    features: readonly Feature[],
  ): Episode {
    const attack = this.book.open({
      kind: 'attack',
      type,
      tenant: tenant.name,
      entities,
      features: FEATURES.filter((f) => features.includes(f)),
      heldOut: this.heldOut.has(type),
    })
    attack.level = level
    return attack
  }

  /**
   * Ordinary calls outside of the attack and a day around it, in the judged period; of a key that sleeps by
   * then, from before. Calls of routes that the victim's `own` model hardly has are matched by any other call.
   */
  pairOf(
    attack: Episode,
    calls: EventBuffer,
    entities: readonly EntityLabel[],
    own: ReadonlyMap<number, number> | null = null,
  ): PairPicker {
    const pair = this.book.open({
      kind: 'pair',
      type: attack.type,
      tenant: attack.tenant,
      entities,
      heldOut: attack.heldOut,
      of: attack.id,
    })
    const wanted = new Map<number, number>()
    const asleep = attack.type === 'dormant-awakened'
    let first = Number.POSITIVE_INFINITY
    let last = 0
    calls.forEach((call) => {
      const given = Math.floor((own?.get(call.route) ?? Number.POSITIVE_INFINITY) * GIVEN_SHARE)
      const route = (wanted.get(call.route) ?? 0) < given ? call.route : ANY_ROUTE
      wanted.set(route, (wanted.get(route) ?? 0) + 1)
      if (call.time >= JUDGE_FROM) first = Math.min(first, call.time)
      last = Math.max(last, call.time)
    })
    return new RoutePicker(wanted, pair.index, (time) => {
      return (asleep || time >= JUDGE_FROM) && (time < first - DAY || time > last + DAY)
    })
  }
}
