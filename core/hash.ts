import { createHash, createHmac, hash, timingSafeEqual } from 'node:crypto'

/** SHA-256 of the JSON array of the parts, lower-case hex: composite keys cannot run into each other. */
export function hashOf(...parts: readonly (string | number | null)[]): string {
  return hash('sha256', JSON.stringify(parts), 'hex')
}

/** A short stable id: prefix and the first 80 bits of {@link hashOf}. */
export function idOf(prefix: string, ...parts: readonly (string | number | null)[]): string {
  return `${prefix}_${hashOf(...parts).slice(0, 20)}`
}

/** 128-bit keyed hash (HMAC-SHA-256, cut), lower-case hex. */
export function keyedHash(key: Uint8Array, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex').slice(0, 32)
}

/** Compares two secrets without telling by its duration where they differ. */
export function secretsEqual(a: string, b: string): boolean {
  const ha = createHash('sha256').update(a).digest()
  const hb = createHash('sha256').update(b).digest()
  return timingSafeEqual(ha, hb)
}

/**
 * Seeded 32-bit MurmurHash3 finaliser over UTF-16 units (public domain, A. Appleby). For tables and
 * partitions, not for secrets: the seed keeps outsiders from choosing collisions.
 */
export function hash32(text: string, seed: number): number {
  let h = seed | 0
  for (let i = 0; i < text.length; i++) {
    let k = Math.imul(text.charCodeAt(i), 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, 0x1b873593)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  h ^= text.length
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Seed of the partition hash: part of the contract, so that every producer agrees. */
const PARTITION_SEED = 0x43_75_72_66

/** Partition of `curfew.events` that a principal's events go to. */
export function partitionOf(profileKey: string, partitions: number): number {
  return hash32(profileKey, PARTITION_SEED) % partitions
}
