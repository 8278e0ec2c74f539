import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Pace, sizeOf } from '../../../ingest/pace.ts'

/** Asks for all at once; gives for each the turn of the event loop in which it may go on, and the order. */
async function admitted(pace: Pace, sizes: readonly number[]): Promise<{ turns: number[]; order: number[] }> {
  const turns: number[] = []
  const order: number[] = []
  let turn = 0
  let isOver = false
  // Stands before the pace's own in every turn.
  const count = () => {
    turn++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const all = sizes.map(async (bytes, i) => {
    await pace.take(bytes)
    turns[i] = turn
    order.push(i)
  })
  await Promise.all(all)
  isOver = true
  return { turns, order }
}

/** Bytes that each turn worked on. */
function spentPerTurn(turns: readonly number[], sizes: readonly number[]): readonly number[] {
  const spent = new Map<number, number>()
  for (const [i, turn] of turns.entries()) spent.set(turn, (spent.get(turn) ?? 0) + sizes[i]!)
  return [...spent.values()]
}

describe('Pace', () => {
  it('lets what fits go on at once, and the rest in later turns, in order', async () => {
    const { turns, order } = await admitted(new Pace(100), [40, 60, 50, 50, 10])
    expect(order).toEqual([0, 1, 2, 3, 4])
    const [first] = turns
    expect(turns).toEqual([first, first, first! + 1, first! + 1, first! + 2])
  })

  it('gives a record that is larger than a turn one of its own, and lets nobody pass it', async () => {
    const { turns, order } = await admitted(new Pace(100), [10, 500, 10, 10])
    expect(order).toEqual([0, 1, 2, 3])
    const [first] = turns
    expect(turns).toEqual([first, first! + 1, first! + 2, first! + 2])
  })

  it('works on no more than its bytes in a turn while little waits', async () => {
    const sizes = Array.from({ length: 16 }, (_, i) => 1 + ((i * 37) % 90))
    const { turns, order } = await admitted(new Pace(100), sizes)
    expect(order).toEqual(sizes.map((_, i) => i))
    expect(Math.max(...spentPerTurn(turns, sizes))).toBeLessThanOrEqual(100)
  })

  it('works on an eighth of what waits where that is more, less and less, in order', async () => {
    const sizes = Array.from({ length: 500 }, (_, i) => 1 + ((i * 37) % 90))
    const total = sizes.reduce((sum, size) => sum + size, 0)
    const { turns, order } = await admitted(new Pace(100), sizes)
    expect(order).toEqual(sizes.map((_, i) => i))
    const spent = spentPerTurn(turns, sizes)
    // Nobody knew of the rest when the first were let go on.
    expect(spent[0]).toBeLessThanOrEqual(100)
    expect(spent[1]).toBeGreaterThan(total / 8 - 200)
    expect(Math.max(...spent)).toBeLessThanOrEqual(total / 8)
    expect(spent.at(-2)).toBeLessThanOrEqual(100)
    expect(spent.length).toBeLessThan(total / 100 / 4)
  })

  it('takes the word of who asks for what will be asked for behind it', async () => {
    const pace = new Pace(100)
    expect(pace.take(60, 1_600)).toBeUndefined()
    expect(pace.take(100, 1_500)).toBeUndefined()
    expect(pace.take(100, 1_400)).toBeInstanceOf(Promise)
  })

  it('has a whole turn again when nothing was asked for a while', async () => {
    const pace = new Pace(100)
    await admitted(pace, [100, 100])
    await nextTurn()
    await nextTurn()
    expect(pace.take(100)).toBeUndefined()
    expect(pace.take(1)).toBeInstanceOf(Promise)
  })
})

describe('sizeOf', () => {
  it('sums bytes', () => {
    expect(sizeOf([])).toBe(0)
    expect(sizeOf([{ bytes: new Uint8Array(3) }, { bytes: new Uint8Array(4) }])).toBe(7)
  })
})
