import { ATTACK_TYPES, Attacker, type Slot, slots } from './attacks.ts'
import type { EpisodeBook } from './episodes.ts'
import { LOOKALIKE_TYPES, Lookalikes } from './lookalikes.ts'
import type { Principal } from './principal.ts'
import { Random } from './random.ts'
import { addFreshKeys, exportOverFreshKeys, stealAmongSybils, stuffCredentials } from './special-attacks.ts'
import type { Org, Tenant, World } from './world.ts'

/** Look-alikes per attack, at the least. */
const LOOKALIKES_PER_ATTACK = 3.2
const LOOKALIKES_WITHOUT_ATTACKS = 120

/** Kinds left out of tuning. */
export interface HeldOut {
  readonly attacks: readonly string[]
  readonly lookalikes: readonly string[]
}

/** Decides everything that will happen in a world besides everyday life. */
export function plot(world: World, book: EpisodeBook): HeldOut {
  const { plan, seed } = world
  const random = new Random(seed, 51)
  const heldOut: HeldOut = {
    attacks: random
      .shuffle([...ATTACK_TYPES])
      .slice(0, 2)
      .sort(),
    lookalikes: random
      .shuffle([...LOOKALIKE_TYPES])
      .slice(0, 2)
      .sort(),
  }
  const taken = new Set<Principal>()
  const largest = world.tenants.reduce((a, b) => (b.principals.length > a.principals.length ? b : a))
  const freshOrg = plan.freshKeys > 0 ? addFreshKeys({ world }, largest, plan.freshKeys) : null
  for (const p of freshOrg?.members ?? []) taken.add(p)
  const lookalikes = new Lookalikes(world, book, taken, new Set(heldOut.lookalikes))
  lookalikes.addCallers(Math.max(2, Math.round(plan.freshKeys / 60)))
  world.settleObjects()
  lookalikes.plan(
    plan.attacks === 0 ? LOOKALIKES_WITHOUT_ATTACKS : Math.ceil(plan.attacks * LOOKALIKES_PER_ATTACK),
  )
  const attacker = new Attacker(world, book, taken, new Set(heldOut.attacks))
  attackAll(world, attacker, freshOrg, largest, slots(plan.attacks, random), random)
  return heldOut
}

function attackAll(
  world: World,
  attacker: Attacker,
  freshOrg: Org | null,
  largest: Tenant,
  wanted: readonly Slot[],
  random: Random,
): void {
  const first = world.tenants[0]!
  const bySize = () => {
    const all = world.tenants.flatMap((t) =>
      Array.from({ length: Math.ceil(Math.sqrt(t.principals.length)) }, () => t),
    )
    return random.pick(all)
  }
  // Sybils need a third of a tenant: before single victims are taken from it.
  for (const slot of [...wanted].sort(
    (a, b) => Number(b.type === 'sybil-theft') - Number(a.type === 'sybil-theft'),
  )) {
    if (slot.type === 'sybil-theft') stealAmongSybils(attacker, first, slot)
    else if (slot.type === 'fresh-keys-export' && freshOrg !== null) {
      exportOverFreshKeys(attacker, largest, freshOrg, slot)
    } else {
      const make = (tenant: Tenant) =>
        slot.type === 'credential-stuffing'
          ? stuffCredentials(attacker, tenant, slot)
          : attacker.attack(tenant, slot)
      if (make(bySize()) || make(largest) || slot.type === 'credential-stuffing') continue
      for (const tenant of [largest, ...world.tenants]) if (attacker.attack(tenant, slot, true)) break
    }
  }
}
