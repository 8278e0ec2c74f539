import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { hash32, hashOf, idOf, keyedHash, partitionOf, secretsEqual } from '../../../core/hash.ts'

describe('hashOf', () => {
  it('is the SHA-256 of the JSON array of its parts', () => {
    expect(hashOf('a', 1, null)).toBe(createHash('sha256').update('["a",1,null]').digest('hex'))
  })

  it('keeps parts apart that would run together as text', () => {
    expect(hashOf('ab', 'c')).not.toBe(hashOf('a', 'bc'))
    expect(hashOf('1')).not.toBe(hashOf(1))
    expect(hashOf('null')).not.toBe(hashOf(null))
    expect(hashOf('a","b')).not.toBe(hashOf('a', 'b'))
  })

  it('gives ids of 80 bits behind their prefix', () => {
    expect(idOf('inc', 'x', 3)).toBe(`inc_${hashOf('x', 3).slice(0, 20)}`)
  })
})

describe('keyedHash', () => {
  it('depends on the key and has 128 bits', () => {
    const one = keyedHash(new Uint8Array([1]), 'consumer:a')
    expect(one).toMatch(/^[0-9a-f]{32}$/)
    expect(keyedHash(new Uint8Array([2]), 'consumer:a')).not.toBe(one)
  })
})

describe('secretsEqual', () => {
  it('compares texts of any length', () => {
    expect(secretsEqual('s3cret', 's3cret')).toBe(true)
    expect(secretsEqual('s3cret', 's3cre')).toBe(false)
    expect(secretsEqual('', '')).toBe(true)
  })
})

describe('partitionOf', () => {
  it('is part of the contract with every producer: these values never change', () => {
    const found = ['default\0consumer:a', 'default\0sub:alice', 'acme\0ip:203.0.113.9', ''].map((key) =>
      partitionOf(key, 64),
    )
    expect(found).toEqual(PARTITIONS)
  })

  it('spreads callers evenly', () => {
    const counts = new Array<number>(64).fill(0)
    for (let i = 0; i < 64_000; i++) counts[partitionOf(`default\0consumer:c${i}`, 64)]!++
    expect(Math.min(...counts)).toBeGreaterThan(850)
    expect(Math.max(...counts)).toBeLessThan(1_150)
  })

  it('gives other collisions under another seed', () => {
    const byHash = new Map<number, string>()
    let pair: [string, string] | null = null
    for (let i = 0; pair === null; i++) {
      const text = `k${i}`
      const hash = hash32(text, 1) & 0xfffff
      const other = byHash.get(hash)
      if (other !== undefined) pair = [other, text]
      byHash.set(hash, text)
    }
    expect(hash32(pair[0], 2) & 0xfffff).not.toBe(hash32(pair[1], 2) & 0xfffff)
  })
})

/** Taken from the first release; a change would send a caller's events to another partition than its profile. */
const PARTITIONS = [6, 63, 1, 44]
