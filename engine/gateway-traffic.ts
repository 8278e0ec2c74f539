import { CORE } from '../baseline/layout.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { DAY_MS } from '../core/time.ts'

/** Gateways that are counted one by one; calls of further ones are counted together. */
const MAX_GATEWAYS = 256
const OTHERS = ''
/** The busiest of so many days stands for the traffic of a gateway: a Sunday says little about a Monday. */
const DAYS = 7

/** Calls per day of one gateway, the day under way first, and which day that is. */
interface Counted {
  day: number
  readonly calls: number[]
}

/** What is stored of a gateway: the day under way, and calls per day from that day backwards. */
export type StoredTraffic = Readonly<Record<string, readonly [number, readonly number[]]>>

/** How much of the traffic of a gateway one caller is. */
export interface TrafficShare {
  /** Calls of the caller on the busier of its last two active days. */
  readonly callsPerDay: number
  /** That, as a share of the calls of the gateway on its busiest day of the last week. */
  readonly share: number
}

/** Counts the calls that come through each gateway, so that it can be said how much would stop with a caller. */
export class GatewayTraffic {
  private readonly byGateway = new Map<string, Counted>()
  private lastId: string | null = null
  private last: Counted = { day: 0, calls: [] }

  /** Counts a call that comes through a gateway at an instant of the partition's time, epoch ms. */
  count(gateway: string, now: number): void {
    const counted = gateway === this.lastId ? this.last : this.find(gateway)
    const day = Math.floor(now / DAY_MS)
    if (day !== counted.day) turn(counted, day)
    counted.calls[0]! += 1
  }

  private find(gateway: string): Counted {
    const known = this.byGateway.get(gateway)
    const id = known !== undefined || this.byGateway.size < MAX_GATEWAYS ? gateway : OTHERS
    const counted = known ?? this.byGateway.get(id) ?? { day: 0, calls: [0] }
    this.byGateway.set(id, counted)
    this.lastId = gateway
    this.last = counted
    return counted
  }

  /**
   * The share of a caller in a gateway's calls. Callers are spread over `partitions` by a hash, so the others here
   * stand for the others everywhere.
   */
  shareOf(gateway: string, view: ProfileView, partitions: number): TrafficShare {
    const own = callsPerDay(view)
    const counted = this.byGateway.get(gateway) ?? this.byGateway.get(OTHERS)
    const all = counted === undefined ? 0 : counted.calls.reduce((most, calls) => Math.max(most, calls), 0)
    const others = Math.max(0, all - own) * partitions
    return { callsPerDay: own, share: own === 0 ? 0 : own / (own + others) }
  }

  snapshot(): StoredTraffic {
    return Object.fromEntries([...this.byGateway].map(([id, { day, calls }]) => [id, [day, [...calls]]]))
  }

  restore(stored: StoredTraffic): void {
    for (const [id, [day, calls]] of Object.entries(stored))
      this.byGateway.set(id, { day, calls: [...calls] })
  }
}

/** Calls of a caller on the busier of its last two active days. */
export function callsPerDay(view: ProfileView): number {
  const u = view.base / 4
  return Math.max(view.u32[u + CORE.dayEvents / 4]!, view.u32[u + CORE.previousDayEvents / 4]!)
}

/**
 * Calls on the busiest day of those that are stored, all partitions together, through some gateways; through all where
 * none of these is known.
 */
export function busiestDay(stored: readonly StoredTraffic[], gateways: readonly string[] | null): number {
  const all = stored.flatMap((one) => Object.entries(one))
  const named = gateways === null ? [] : all.filter(([id]) => gateways.includes(id))
  const byDay = new Map<number, number>()
  for (const [, [day, calls]] of named.length > 0 ? named : all)
    for (const [back, count] of calls.entries()) byDay.set(day - back, (byDay.get(day - back) ?? 0) + count)
  return [...byDay.values()].reduce((most, count) => Math.max(most, count), 0)
}

function turn(counted: Counted, day: number): void {
  const passed = day - counted.day
  counted.day = day
  if (passed > 0) counted.calls.unshift(...new Array<number>(Math.min(passed, DAYS)).fill(0))
  counted.calls.length = Math.min(counted.calls.length, DAYS)
}
