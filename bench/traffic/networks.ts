import { DAY, START, ZONES } from './calendar.ts'
import { hash } from './random.ts'

/** Where a caller's addresses come from. */
export interface Network {
  /** `lease` changes its address every few days, `carrier` and `pool` with each session, `fixed` hardly ever. */
  readonly kind: 'lease' | 'carrier' | 'pool' | 'fixed' | 'office'
  /** First address. */
  readonly block: number
  /** Number of addresses. */
  readonly size: number
  /** Makes the addresses of one caller its own. */
  readonly salt: number
  /** Days of a lease, or between moves of a fixed address. */
  readonly days: number
}

/** First addresses of /16 networks, 11.0 to 99.255, without the private and shared ones in between. */
function slash16(key: number): number {
  const first = 11 + (key % 89)
  const second = (key >>> 8) & 255
  return ((first * 256 + second) * 65_536) >>> 0
}

const PROVIDERS = 6
const CARRIER_ADDRESSES = 24

/** A household of a zone: one of six providers there. */
export function homeNetwork(seed: number, zone: number, salt: number): Network {
  const block = slash16(hash(seed, 1, zone, salt % PROVIDERS))
  return { kind: 'lease', block, size: 65_536, salt, days: 3 + (salt % 12) }
}

/** Mobile carriers hide many callers behind few addresses. */
export function carrierNetwork(seed: number, zone: number, salt: number): Network {
  const block = slash16(hash(seed, 2, zone, salt % 3))
  return { kind: 'carrier', block, size: CARRIER_ADDRESSES, salt, days: 1 }
}

export function officeNetwork(seed: number, org: number, size: number): Network {
  return {
    kind: 'office',
    block: (slash16(hash(seed, 3, org)) + 256 * (org % 200)) >>> 0,
    size,
    salt: org,
    days: 1,
  }
}

/** An organisation's machines in a cloud: a /22, addresses change when something is deployed anew. */
export function cloudNetwork(seed: number, org: number, salt: number): Network {
  const block = (slash16(hash(seed, 4, org % 12)) + 1_024 * (hash(org) % 60)) >>> 0
  return { kind: 'fixed', block, size: 1_024, salt, days: 9 + (salt % 40) }
}

/** Rented machines that differ with each job, shared by everybody. */
export function poolNetwork(seed: number, salt: number): Network {
  return { kind: 'pool', block: slash16(hash(seed, 5, salt % 2)), size: 65_536, salt, days: 1 }
}

/** A network of a place where the caller never was: another zone's household or a rented machine. */
export function strangeNetwork(seed: number, zone: number, salt: number): Network {
  if (salt % 3 === 0) return { ...poolNetwork(seed, 7 + salt), kind: 'fixed', salt, days: 30 }
  return homeNetwork(seed, (zone + 1 + (salt % (ZONES.length - 1))) % ZONES.length, salt)
}

/** The address in use at a time; `session` tells one sitting or job from the next. */
export function addressAt(network: Network, time: number, session: number): number {
  const { kind, block, size, salt, days } = network
  if (kind === 'office') return block + 7 + (hash(salt, session) % size)
  if (kind === 'carrier' || kind === 'pool') return block + (hash(salt, session) % size)
  return block + (hash(salt, Math.floor(((time - START) / DAY + (salt % 97)) / days)) % size)
}

const BYTES = Array.from({ length: 256 }, (_, i) => `${i}`)

export function addressText(ip: number): string {
  return `${BYTES[ip >>> 24]!}.${BYTES[(ip >>> 16) & 255]!}.${BYTES[(ip >>> 8) & 255]!}.${BYTES[ip & 255]!}`
}
