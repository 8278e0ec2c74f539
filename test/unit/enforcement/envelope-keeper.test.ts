import { describe, expect, it } from 'vitest'
import type { StandingLimits } from '../../../core/envelope.ts'
import type { Principal } from '../../../core/event.ts'
import { HOUR_MS, wallTime } from '../../../core/time.ts'
import { EnvelopeBook } from '../../../enforcement/envelope-book.ts'
import {
  EnvelopeKeeper,
  type EnvelopeKeeperOptions,
  type EnvelopeWish,
} from '../../../enforcement/envelope-keeper.ts'

const STOP = new AbortController().signal
const START = Date.UTC(2026, 10, 25)

const caller = (name: string): Principal => ({ kind: 'consumer', id: name, label: name, verified: true })

function wish(name: string, records: number, more: Partial<EnvelopeWish> = {}): EnvelopeWish {
  return {
    tenant: 'default',
    principal: caller(name),
    limits: { inFlight: 2, requestsPer10s: 10, recordsPer10min: records, bytesPer10min: null },
    known: true,
    reason: 'as it was',
    open: { at: START, records: 0, bytes: 0 },
    ...more,
  }
}

/** Memory that outlives a keeper, as a store does. */
function memory() {
  const kept = new Map<string, StandingLimits>()
  return {
    kept,
    load: () => kept,
    save: async (puts: ReadonlyMap<string, StandingLimits>, deletes: readonly string[]) => {
      for (const id of deletes) kept.delete(id)
      for (const [id, standing] of puts) kept.set(id, standing)
    },
  }
}

/** A book that counts its calls, as if it were far away. */
class FarBook extends EnvelopeBook {
  puts = 0
  override async put(envelope: Parameters<EnvelopeBook['put']>[0]): Promise<void> {
    this.puts += 1
    await super.put(envelope)
  }
}

function rig(options: Partial<EnvelopeKeeperOptions> = {}) {
  const book = new FarBook('edge')
  const warnings: string[] = []
  const state = {
    now: START,
    wishes: [] as readonly (EnvelopeWish | Error)[],
    latched: null as string | null,
  }
  const keep = memory()
  const make = () =>
    new EnvelopeKeeper({
      mode: 'enforce',
      holders: [book],
      watcher: null,
      wishes: async function* () {
        for (const one of state.wishes) {
          if (one instanceof Error) throw one
          yield one
        }
      },
      memory: keep,
      exempt: (_, entity) => (entity === 'consumer:friend' ? 'a friend' : null),
      latched: () => state.latched,
      growthPerDay: 1.5,
      changeFactor: 1.25,
      holdMs: 6 * HOUR_MS,
      everyMs: 1_000,
      pushesPerSecond: 1_000,
      maxCallers: 100,
      clock: { now: () => wallTime(state.now) },
      logger: {
        info: () => undefined,
        warn: (_, message) => void warnings.push(message),
        error: () => undefined,
      },
      ...options,
    })
  return { book, state, warnings, keep, make, keeper: make() }
}

const records = async (book: EnvelopeBook) =>
  Object.fromEntries(
    (await book.list()).map(({ principal, limits }) => [principal.id, limits.recordsPer10min]),
  )

describe('the keeper of envelopes', () => {
  it('puts what profiles ask for, and removes what none asks for any more', async () => {
    const { book, state, keeper } = rig()
    state.wishes = [wish('a', 100.2), wish('b', 50)]
    expect(await keeper.pass(STOP)).toBe(true)
    expect(await records(book)).toEqual({ a: 101, b: 50 })
    state.wishes = [wish('b', 50)]
    await keeper.pass(STOP)
    expect(await records(book)).toEqual({ b: 50 })
  })

  it('makes no call for a small change, and renews before the end', async () => {
    const { book, state, keeper } = rig()
    state.wishes = [wish('a', 100)]
    await keeper.pass(STOP)
    state.wishes = [wish('a', 110)]
    state.now += HOUR_MS
    await keeper.pass(STOP)
    expect([book.puts, await records(book)]).toEqual([1, { a: 100 }])
    state.now += 3 * HOUR_MS
    await keeper.pass(STOP)
    expect(book.puts).toBe(2)
    expect((await book.list())[0]?.until).toBe(state.now + 6 * HOUR_MS)
  })

  it('lets limits grow by half a day at most, over restarts, and shrink at once', async () => {
    const { book, state, make, keeper } = rig()
    state.wishes = [wish('a', 100)]
    await keeper.pass(STOP)
    state.wishes = [wish('a', 10_000)]
    for (let hour = 1; hour <= 24; hour++) {
      state.now = START + hour * HOUR_MS
      await make().pass(STOP)
      const limit = (await records(book)).a!
      expect(limit).toBeLessThanOrEqual(Math.ceil(100 * 1.5 ** (hour / 24)))
    }
    expect((await records(book)).a).toBeGreaterThan(120)
    state.wishes = [wish('a', 20)]
    await make().pass(STOP)
    expect(await records(book)).toEqual({ a: 20 })
  })

  it('follows the profile at once where a person accepted what the caller did', async () => {
    const { book, state, keeper } = rig()
    state.wishes = [wish('a', 100)]
    await keeper.pass(STOP)
    state.wishes = [wish('a', 10_000)]
    keeper.accept('default', caller('a'))
    await keeper.pass(STOP)
    expect(await records(book)).toEqual({ a: 10_000 })
  })

  it('leaves all as it is while profiles cannot be read', async () => {
    const { book, state, keeper, warnings } = rig()
    state.wishes = [wish('a', 100), wish('b', 100)]
    await keeper.pass(STOP)
    state.wishes = [wish('a', 100), new Error('the store is away')]
    expect(await keeper.pass(STOP)).toBe(false)
    expect(await records(book)).toEqual({ a: 100, b: 100 })
    expect(warnings).toEqual(['profiles cannot be read; envelopes stay as they are'])
  })

  it('lifts everything while latched, and puts it back when resumed', async () => {
    const { book, state, keeper } = rig()
    state.wishes = [wish('a', 100)]
    await keeper.pass(STOP)
    state.latched = 'panic'
    await keeper.pass(STOP)
    expect(await records(book)).toEqual({})
    state.latched = null
    await keeper.pass(STOP)
    expect(await records(book)).toEqual({ a: 100 })
  })

  it('holds nobody who is exempt, nor two callers that a gateway takes for one', async () => {
    const { book, state, keeper } = rig()
    state.wishes = [wish('friend', 1), wish('a', 1), wish('twin', 1), wish('twin', 1, { tenant: 'other' })]
    await keeper.pass(STOP)
    expect(await records(book)).toEqual({ a: 1 })
  })

  it('gives newcomers one only where most callers are known', async () => {
    const { book, state, keeper } = rig()
    const young = { known: false }
    state.wishes = [wish('a', 1), wish('new-1', 1, young), wish('new-2', 1, young)]
    await keeper.pass(STOP)
    expect(await records(book)).toEqual({ a: 1 })
    state.wishes = [wish('a', 1), wish('new-1', 1, young)]
    await keeper.pass(STOP)
    expect(await records(book)).toEqual({ a: 1, 'new-1': 1 })
  })

  it('makes no more envelopes than it may', async () => {
    const { book, state, keeper } = rig({ maxCallers: 2 })
    state.wishes = ['a', 'b', 'c'].map((name) => wish(name, 1))
    await keeper.pass(STOP)
    expect(Object.keys(await records(book))).toEqual(['a', 'b'])
  })

  it('touches no gateway in observe mode, and says what the log shows beyond the limits', async () => {
    const { book, state, keeper } = rig({ mode: 'observe' })
    state.wishes = [wish('a', 100), wish('b', 100, { open: { at: START, records: 101, bytes: 5 } })]
    await keeper.pass(STOP)
    expect(book.puts).toBe(0)
    const [first, second] = keeper.views()
    expect(first).toMatchObject({
      principal: { id: 'b' },
      excess: { limit: 'recordsPer10min', observed: 101, at: START },
      gateways: [],
    })
    expect(second?.excess).toBeNull()
  })

  it('takes away what an earlier Curfew left when it is off, and then rests', async () => {
    const { book, state, keeper } = rig()
    state.wishes = [wish('a', 100)]
    await keeper.pass(STOP)
    const off = rig({ mode: 'off', holders: [book] })
    off.state.wishes = [wish('a', 100)]
    await off.keeper.run(STOP)
    expect(await records(book)).toEqual({})
  })

  it('puts only so many a second at a gateway that costs calls', async () => {
    const far = new FarBook('far')
    const holder = Object.assign(far, { inProcess: false })
    const { state, keeper } = rig({ holders: [holder], pushesPerSecond: 20 })
    state.wishes = ['a', 'b', 'c', 'd'].map((name) => wish(name, 1))
    const stop = new AbortController()
    const passing = keeper.pass(stop.signal)
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(far.puts).toBeLessThan(4)
    await passing
    expect(far.puts).toBe(4)
  })
})
