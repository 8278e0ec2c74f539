import { describe, expect, it, vi } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { eventTime } from '../../../core/time.ts'
import { DuplicateFilter, GENERATION } from '../../../engine/duplicates.ts'
import { call, consumer, MONDAY } from '../../scenarios/engine/traffic.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const alice = consumer('alice')
const original = call(MONDAY, alice, { id: 'request-1' })

/** Distinct calls, numbered. */
const numbered = (n: number): AccessEvent => ({ ...original, id: `n-${n}`, time: eventTime(MONDAY + n) })

function filled(from: number, to: number, filter = new DuplicateFilter(7)): DuplicateFilter {
  for (let n = from; n < to; n++) filter.seen(numbered(n))
  return filter
}

/** What a store would hold: every export, at every one of the cuts. */
function restoredAfter(cuts: readonly number[]): DuplicateFilter {
  const chunks: { first: number; keys: Float64Array }[] = []
  const filter = new DuplicateFilter(7)
  let from = 0
  for (const to of cuts) {
    filled(from, to, filter)
    from = to
    const chunk = filter.exportNew()
    if (chunk !== null) chunks.push({ first: chunk.first, keys: chunk.keys.slice() })
  }
  const restored = new DuplicateFilter(7)
  restored.restore(chunks.reverse())
  return restored
}

describe('the duplicate filter', () => {
  it('recognises a call that the log delivered twice', () => {
    const filter = new DuplicateFilter(7)
    expect(filter.seen(original)).toBe(false)
    expect(filter.seen({ ...original, receivedAt: MONDAY + 5_000 })).toBe(true)
  })

  it.each<[string, Partial<AccessEvent>]>([
    ['time', { time: eventTime(MONDAY + 1) }],
    ['status', { status: 201 }],
    ['size', { responseBytes: 4_001 }],
    ['path', { path: '/v1/orders/18' }],
    ['method', { method: 'PUT' }],
    ['caller', { principal: consumer('alicf') }],
    ['tenant', { tenant: 'defaulu' }],
    ['number of records', { records: 11 }],
  ])('takes a reused request id with another %s for another call', (_, change) => {
    const filter = new DuplicateFilter(7)
    filter.seen(original)
    expect(filter.seen({ ...original, ...change })).toBe(false)
  })

  it('remembers at least one generation of later calls, and forgets after two', () => {
    const filter = filled(0, GENERATION + 1)
    expect(filter.seen(numbered(0))).toBe(true)
    expect(filled(0, 2 * GENERATION + 1).seen(numbered(0))).toBe(false)
    expect(filled(0, 2 * GENERATION + 1).seen(numbered(GENERATION + 1))).toBe(true)
  })

  it('has nothing to export twice', () => {
    const filter = filled(0, 10)
    expect(filter.exportNew()).toMatchObject({ first: 0 })
    expect(filter.exportNew()).toBeNull()
    expect(filled(10, 12, filter).exportNew()).toMatchObject({ first: 10 })
  })

  it.each([
    ['small steps', [1_000, 30_000, GENERATION, GENERATION + 70]],
    ['one step within the first generation', [50_000]],
    ['one step of more than a generation', [GENERATION + 30_000]],
    ['steps longer than the memory', [10, 3 * GENERATION + 5_000, 6 * GENERATION + 77]],
    ['a step that ends with a generation', [2 * GENERATION]],
  ])('answers alike after a restart, exported in %s', (_, cuts) => {
    const end = cuts.at(-1)!
    const whole = filled(0, end)
    const restored = restoredAfter(cuts)
    expect(restored.horizon).toBe(whole.horizon)
    const differing: number[] = []
    // Repeats do not change the filter; new keys do, so ask only from the oldest remembered on.
    for (let n = Math.max(0, end - 2 * GENERATION); n < end; n += 997) {
      const [a, b] = [whole.seen(numbered(n)), restored.seen(numbered(n))]
      if (a !== b) differing.push(n)
    }
    expect(differing).toEqual([])
    filled(end, end + GENERATION, whole)
    filled(end, end + GENERATION, restored)
    expect(restored.seen(numbered(end - 5))).toBe(whole.seen(numbered(end - 5)))
  })

  it('tells ids apart by more than 32 bits', () => {
    const filter = new DuplicateFilter(7)
    let repeats = 0
    // Some ten of these would agree with one of the last 100,000 if 32 bits of their id were all that is kept.
    for (let n = 0; n < 400_000; n++) if (filter.seen({ ...original, id: `${Math.sin(n)}` })) repeats++
    expect(repeats).toBe(0)
  })

  it.each([
    // The highest bit of one word of four, and what one multiplication makes of it in the next.
    ['/v1/aaaaaaaa', '/v1/aaaa\u00e1aa\u0061'],
    ['aaaaaaaa', 'aaa\u00e1aa\u0060\u00e1'],
    ['aaaaaaaa', 'aaa\u00e1a\u00e1a\u00e1'],
    // Units that a byte does not hold, where they overlap.
    ['\u0100\u0000aa', '\u0000\u0001aa'],
    ['\u0161aaa', 'a`aa'],
    ['a\u0100bb', 'a\u0000cb'],
    ['', '\u0000'],
    ['aaaa', 'aaaa\u0000'],
  ])('tells the paths %j and %j apart under every seed', (one, other) => {
    for (let seed = 0; seed < 2_000; seed++) {
      const filter = new DuplicateFilter(seed * 2_654_435_761)
      filter.seen({ ...original, path: one })
      expect(filter.seen({ ...original, path: other }), `seed ${seed}`).toBe(false)
    }
  })

  it('gives other keys under another seed, so that nobody can choose collisions', () => {
    const [a] = filled(0, 1).exportNew()!.keys
    const [b] = filled(0, 1, new DuplicateFilter(8)).exportNew()!.keys
    expect(a).not.toBe(b)
  })
})
