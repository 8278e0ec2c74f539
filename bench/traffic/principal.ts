import { agentAt } from './agents.ts'
import type { Archetype } from './archetypes.ts'
import { offsetAt } from './calendar.ts'
import { addressAt, type Network } from './networks.ts'
import { hash, Random } from './random.ts'
import type { Tenant } from './world.ts'

/** What differs for a while in a caller's ordinary traffic. */
export interface Modifier {
  readonly from: number
  readonly to: number
  /** Times the usual number of calls. */
  readonly rate?: number
  /** Another Markov chain. */
  readonly chain?: Float64Array
  /** Other resources. The share grows from 0 at `from` to 1 at `full`. */
  readonly resources?: Uint8Array
  readonly full?: number
  readonly network?: Network
  /** Hours by which its day begins later. */
  readonly shiftHours?: number
}

/** A job of a `jobs` caller: so many calls every so often, from a minute of the local day on. */
export interface Job {
  readonly everyMinutes: number
  readonly atMinute: number
  readonly calls: number
  /** Operations and resources in turn. */
  readonly script: readonly (readonly [op: number, resource: number])[]
}

/** Picks ordinary calls of an attack's victim as that attack's paired negative. */
export interface PairPicker {
  /** Episode index, or -1 when this call is not wanted. */
  take(route: number, time: number): number
}

/** What a caller is, as drawn once. */
export interface PrincipalTraits {
  readonly index: number
  readonly tenant: Tenant
  readonly archetype: string
  readonly model: Archetype
  readonly org: number
  readonly zone: number
  readonly username: string
  readonly rate: number
  readonly chain: Float64Array
  readonly resources: Uint8Array
  readonly resourceWeights: Float64Array
  readonly pageSize: number
  readonly exportRecords: number
  readonly badShare: number
  readonly ownShare: number
  /** Milliseconds; 0 for an API key. */
  readonly tokenLife: number
  readonly tokenPhase: number
  readonly home: Network
  readonly office: Network | null
  readonly officeShare: number
  readonly agentBase: number
  readonly agentDelay: number
  readonly shiftHours: number
  /** 0: calls at all hours alike; 1: in working hours only. */
  readonly amplitude: number
  readonly jobs: readonly Job[]
  readonly isAdmin: boolean
}

/** One caller and where it stands in its own life. */
export class Principal {
  readonly is: PrincipalTraits
  ownFrom = 0
  ownCount = 1
  bornAt = 0
  diesAt = Number.POSITIVE_INFINITY
  adoptsAt = Number.POSITIVE_INFINITY
  modifiers: Modifier[] = []
  pair: PairPicker | null = null
  allowListed = false
  /** Events of the log, counted when written. */
  events = 0

  random: Random
  op = 0
  resource = 0
  /** The object that it made last; -1 for none. */
  created = -1
  cursor = 0
  session = 0

  constructor(is: PrincipalTraits, seed: number) {
    this.is = is
    this.random = new Random(seed, 11, is.index)
    this.resource = is.resources[0]!
  }

  /** The same caller leading another life: to learn its model without touching the world. */
  twin(seed: number): Principal {
    const twin = new Principal(this.is, seed)
    twin.ownFrom = this.ownFrom
    twin.ownCount = this.ownCount
    twin.adoptsAt = this.adoptsAt
    return twin
  }

  /** The address of its session; people are at home or in the office for a whole day. */
  address(time: number, session: number): number {
    const { office, home, officeShare, index } = this.is
    for (const m of this.modifiers) {
      if (m.network !== undefined && time >= m.from && time < m.to) return addressAt(m.network, time, session)
    }
    const localDay = Math.floor((time + offsetAt(this.is.zone, time)) / 86_400_000)
    const inOffice = office !== null && (hash(index, localDay) % 1_000) / 1_000 < officeShare
    return addressAt(inOffice ? office : home, time, session)
  }

  agent(time: number): number {
    return agentAt(this.is.agentBase, this.is.agentDelay, time)
  }

  /** Number of the token in use; -1 for an API key. */
  token(time: number): number {
    const { tokenLife, tokenPhase } = this.is
    return tokenLife === 0 ? -1 : Math.floor((time - tokenPhase) / tokenLife)
  }
}
