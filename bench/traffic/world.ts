import { agentClass } from './agents.ts'
import { ARCHETYPES, type Archetype, ownChain } from './archetypes.ts'
import { DAY, DAYS, HOUR, LEARN_DAYS, MINUTE, START, ZONES } from './calendar.ts'
import type { Size } from './labels.ts'
import {
  carrierNetwork,
  cloudNetwork,
  homeNetwork,
  type Network,
  officeNetwork,
  poolNetwork,
} from './networks.ts'
import { ObjectSpace } from './objects.ts'
import { type Job, type PairPicker, Principal } from './principal.ts'
import { cumulative, hash, Random } from './random.ts'
import { buildRoutes, OP, OPS, type RouteTable } from './routes.ts'

/** Some routes of a tenant fail for a while. */
interface Outage {
  readonly from: number
  readonly to: number
  readonly resources: ReadonlySet<number>
  readonly failing: number
}

export interface Org {
  readonly index: number
  readonly name: string
  readonly zone: number
  readonly members: Principal[]
  readonly officeSize: number
  /** Its stretch of the object space. */
  ownFrom: number
  ownCount: number
}

export interface Tenant {
  readonly index: number
  readonly name: string
  readonly table: RouteTable
  readonly orgs: Org[]
  readonly principals: Principal[]
  readonly outages: readonly Outage[]
  /** Paired negatives of attacks from an address, by address. */
  readonly addressPairs: Map<number, PairPicker>
  /** When the feature appears that everybody comes to use. */
  readonly featureAt: number
  objects: ObjectSpace
}

/** Size of one tenant and how much busier its machines are than usual. */
interface TenantPlan {
  readonly name: string
  readonly principals: number
  readonly machines: number
}

export interface WorldPlan {
  readonly tenants: readonly TenantPlan[]
  readonly attacks: number
  /** Every caller makes few calls a day: many principal-days, few events. */
  readonly light: boolean
  /** Keys of one organisation over which an export is spread. */
  readonly freshKeys: number
}

export const PLANS: Readonly<Record<Size, WorldPlan>> = {
  small: {
    tenants: [
      { name: 'northwind', principals: 200, machines: 1 },
      { name: 'contoso', principals: 1_000, machines: 1 },
    ],
    attacks: 26,
    light: false,
    freshKeys: 150,
  },
  full: {
    tenants: [
      { name: 'northwind', principals: 200, machines: 1 },
      { name: 'contoso', principals: 1_000, machines: 1.6 },
      { name: 'fabrikam', principals: 5_000, machines: 3.7 },
    ],
    attacks: 126,
    light: false,
    freshKeys: 1_000,
  },
  light: {
    tenants: ['northwind', 'contoso', 'fabrikam', 'tailspin'].map((name) => ({
      name,
      principals: 5_000,
      machines: 1,
    })),
    attacks: 0,
    light: true,
    freshKeys: 0,
  },
}

/** Everybody and everything that exists, before anything happens. */
export class World {
  readonly seed: number
  readonly plan: WorldPlan
  readonly tenants: Tenant[] = []
  readonly principals: Principal[] = []
  private readonly usernames = new Set<string>()

  constructor(seed: number, plan: WorldPlan) {
    this.seed = seed
    this.plan = plan
    plan.tenants.forEach((tenant, index) => {
      this.tenants.push(this.buildTenant(tenant, index))
    })
  }

  private buildTenant(plan: TenantPlan, index: number): Tenant {
    const random = new Random(this.seed, 1, index)
    const table = buildRoutes(random)
    const tenant: Tenant = {
      index,
      name: plan.name,
      table,
      orgs: [],
      principals: [],
      outages: outages(random, table.resources),
      addressPairs: new Map(),
      featureAt: START + (LEARN_DAYS + random.between(2, 8)) * DAY + 9 * HOUR,
      objects: new ObjectSpace(0, 4),
    }
    for (let left = plan.principals; left > 0; ) {
      const org = this.addOrg(tenant, random)
      const size = Math.min(left, Math.max(4, Math.round(random.logNormal(14, 0.8))))
      for (let i = 0; i < size; i++)
        this.addPrincipal(tenant, org, archetypeAt(random), random, plan.machines)
      left -= size
    }
    return tenant
  }

  addOrg(tenant: Tenant, random: Random): Org {
    const index = tenant.index * 10_000 + tenant.orgs.length
    const zone = random.weighted(cumulative(ZONES.map((z) => z.share)))
    const name = `${ORG_WORDS[hash(this.seed, index, 3) % ORG_WORDS.length]}-${(hash(this.seed, index) % 900) + 100}`
    const officeSize = 1 + random.below(3)
    const org: Org = {
      index,
      name: `${name}${index % 97}`,
      zone,
      members: [],
      officeSize,
      ownFrom: 0,
      ownCount: 1,
    }
    tenant.orgs.push(org)
    return org
  }

  /** A name that nobody else has: two callers of one name would be one to whoever reads the log. */
  private freshName(model: Archetype, index: number): string {
    let name = usernameOf(model, hash(this.seed, 21, index))
    for (let again = 1; this.usernames.has(name); again++)
      name = usernameOf(model, hash(this.seed, 21, index, again))
    this.usernames.add(name)
    return name
  }

  /** Adds a caller; a `dormant` or `newborn` key is a machine or a person who uses it seldom or anew. */
  addPrincipal(tenant: Tenant, org: Org, archetype: string, random: Random, machines = 1): Principal {
    const model = archetype === 'newborn' ? ARCHETYPES[random.pick(NEWBORN_LIVES)]! : ARCHETYPES[archetype]!
    const index = this.principals.length
    const zone = random.chance(0.85) ? org.zone : random.weighted(cumulative(ZONES.map((z) => z.share)))
    const resources = ownResources(tenant.table.resources, random, model)
    const principal = new Principal(
      {
        index,
        tenant,
        archetype,
        model,
        org: org.index,
        zone,
        username: this.freshName(model, index),
        rate: this.rateOf(model, random, machines),
        chain: ownChain(model, random),
        resources,
        resourceWeights: cumulative(Array.from(resources, (_, i) => 1 / (i + 1) ** 1.2)),
        pageSize: random.pick([10, 20, 25, 25, 50, 100]),
        exportRecords: random.logNormal(...model.exportRecords),
        badShare: random.logNormal(0.013, 0.5),
        ownShare: random.between(0.97, 1),
        tokenLife: random.pick(model.tokenHours) * HOUR,
        tokenPhase: Math.floor(random.between(0, DAY)),
        ...this.networksOf(model, org, zone, random),
        agentBase: agentClass(random.pick(model.agents)),
        agentDelay: model.rhythm === 'sessions' ? random.exponential(2) : random.exponential(12),
        shiftHours: 1.2 * random.gaussian(),
        amplitude: random.chance(0.25) ? random.between(0, 0.3) : random.between(0.5, 0.95),
        jobs: model.rhythm === 'jobs' ? jobsOf(model, resources, random, this.plan.light ? 0 : machines) : [],
        isAdmin: archetype === 'admin',
      },
      this.seed,
    )
    principal.bornAt = archetype === 'newborn' ? START + random.between(1, DAYS - 0.5) * DAY : START - DAY
    if (archetype === 'dormant') principal.diesAt = START + random.between(0.6, 5) * DAY
    if (random.chance(0.7)) principal.adoptsAt = tenant.featureAt + random.exponential(1.6 * DAY)
    this.principals.push(principal)
    tenant.principals.push(principal)
    org.members.push(principal)
    return principal
  }

  /** Hands out the object space once everybody is there. */
  settleObjects(): void {
    for (const tenant of this.tenants) {
      const random = new Random(this.seed, 2, tenant.index)
      let from = 0
      for (const org of tenant.orgs) {
        org.ownFrom = from
        for (const p of org.members) {
          p.ownFrom = from
          p.ownCount = Math.ceil(Math.min(60_000, random.logNormal(...p.is.model.objects)))
          from += p.ownCount
        }
        org.ownCount = Math.max(1, from - org.ownFrom)
        for (const p of org.members) {
          if (!p.is.model.orgWide) continue
          p.ownFrom = org.ownFrom
          p.ownCount = org.ownCount
        }
      }
      tenant.objects = new ObjectSpace(hash(this.seed, 3, tenant.index), from)
    }
  }

  private rateOf(model: Archetype, random: Random, machines: number): number {
    const isMachine = model.rhythm !== 'sessions'
    if (this.plan.light) return random.logNormal(isMachine ? 150 : 70, 0.6)
    const [median, sigma, least, most] = model.rate
    const busier = isMachine ? machines : 1
    return busier * Math.min(most, Math.max(least, random.logNormal(median, sigma)))
  }

  private networksOf(model: Archetype, org: Org, zone: number, random: Random) {
    const salt = random.below(2 ** 30)
    const office = officeNetwork(this.seed, org.index, org.officeSize)
    const home = homeNetwork(this.seed, zone, salt)
    const of = (network: Network, at: Network | null, officeShare: number) => ({
      home: network,
      office: at,
      officeShare,
    })
    if (model.network === 'person') return of(home, office, random.pick([0, 0.4, 0.6, 0.95]))
    if (model.network === 'mobile') return of(carrierNetwork(this.seed, zone, salt), home, 0.45)
    if (model.network === 'pool') return of(poolNetwork(this.seed, salt), null, 0)
    return of(cloudNetwork(this.seed, org.index, salt), null, 0)
  }
}

const NEWBORN_LIVES = ['human', 'human', 'mobile', 'mobile', 'newborn', 'newborn', 'partner', 'ci']
const ORG_WORDS =
  'alder birch cedar delta ember flint grove haven iris juniper kestrel lumen maple nova'.split(' ')
const FIRST =
  'anna ben carla dan eva finn gita hugo ines jan kim lars mia noor omar pia ravi sara tom uma'.split(' ')
const LAST = 'abel berg costa diaz eder fox gupta hahn ito jung klein lopez meyer novak ott patel'.split(' ')
const JOBS = 'billing orders catalog stock ledger mailer sync reports search pricing audit feeds'.split(' ')

function usernameOf(model: Archetype, key: number): string {
  const number = `${(key >>> 8) % 100_000}`
  if (model.network === 'person' || model.network === 'mobile') {
    return `${FIRST[key % 20]}.${LAST[(key >>> 5) % 16]}.${number}`
  }
  return `${JOBS[key % 12]}-svc-${number}`
}

function archetypeAt(random: Random): string {
  const names = Object.keys(ARCHETYPES)
  return names[random.weighted(cumulative(names.map((name) => ARCHETYPES[name]!.share)))]!
}

function ownResources(count: number, random: Random, model: Archetype): Uint8Array {
  const all = random.shuffle(Array.from({ length: count }, (_, i) => i))
  const few = model.rhythm === 'jobs' || model.rhythm === 'probe' ? 1 + random.below(3) : 3 + random.below(6)
  return Uint8Array.from(all.slice(0, model.name === 'admin' ? count : few))
}

function jobsOf(model: Archetype, resources: Uint8Array, random: Random, busier: number): readonly Job[] {
  const light = busier < 0.3
  return Array.from({ length: light || random.chance(0.5) ? 1 : 1 + random.below(3) }, () => {
    const nightly = light || random.chance(0.55)
    const everyMinutes = nightly ? 1_440 : random.pick([15, 60, 120, 240, 240])
    const atHour = random.chance(0.4) ? 1 + random.below(5) : random.below(24)
    const length = 1 + random.below(5)
    const ops = cumulative([...model.ops])
    return {
      everyMinutes,
      atMinute: nightly ? atHour * 60 + random.pick([0, 0, 0, 15, 30, 5]) : random.below(everyMinutes),
      calls: Math.ceil(
        Math.max(1, busier) * random.logNormal(light ? 5 : nightly ? 9 : 2, light ? 0.4 : 1.2),
      ),
      script: Array.from({ length }, () => [
        random.weighted(ops, 0, OPS.length),
        random.pick(Array.from(resources)),
      ]),
    }
  })
}

/** Two to four stretches of failing answers in four weeks. */
function outages(random: Random, resources: number): readonly Outage[] {
  return Array.from({ length: 2 + random.below(3) }, () => {
    const from = START + random.between(0.5, DAYS - 0.5) * DAY
    const all = random.shuffle(Array.from({ length: resources }, (_, i) => i))
    return {
      from,
      to: from + random.between(5, 40) * MINUTE,
      resources: new Set(all.slice(0, 1 + random.below(resources))),
      failing: random.between(0.25, 0.9),
    }
  })
}

/** Operations that change something. */
export function isWrite(op: number): boolean {
  return op === OP.create || op === OP.update || op === OP.delete
}
