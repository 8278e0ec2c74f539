import { beforeEach, describe, expect, it } from 'vitest'
import { dueRestoration, expireLoosenings } from '../../../admin/loosening-expiry.ts'
import { wallTime } from '../../../core/time.ts'
import type { EngineSettings } from '../../../engine/settings.ts'
import { MemoryControlPlane } from '../../contracts/admin/memory-control-plane.ts'
import { sampleValues } from '../../contracts/admin/sample-state.ts'

const START = Date.parse('2026-02-02T00:00:00Z')
const day = (n: number) => new Date(START + n * 86_400_000).toISOString()
const ACTOR = { name: 'alice', role: 'tuner' } as const

let today = 0
let plane: MemoryControlPlane
const clock = { now: () => wallTime(START + today * 86_400_000) }

beforeEach(() => {
  today = 0
  plane = new MemoryControlPlane(clock, { settings: { values: sampleValues, modes: [{ mode: 'enforce' }] } })
})

async function put(change: (s: EngineSettings) => object, expires: string | null): Promise<void> {
  const current = await plane.settings()
  const result = await plane.putSettings(
    { ...current, ...change(current) },
    current.version,
    ACTOR,
    'a reason',
    expires,
  )
  expect(result.ok).toBe(true)
}
const set = (name: string, value: number, expires: string | null) =>
  put((s) => ({ values: { ...s.values, [name]: value } }), expires)
const value = async (name: 'throttleSurprise' | 'revokeSurprise') => (await plane.settings()).values[name]

describe('the end of a loosening', () => {
  it('puts back what was loosened, once, and not before', async () => {
    await set('throttleSurprise', 9, day(3))
    today = 2
    expect(await expireLoosenings(plane, clock)).toEqual([])
    today = 3
    expect(await expireLoosenings(plane, clock)).toEqual(['values.throttleSurprise'])
    expect(await value('throttleSurprise')).toBe(6)
    expect(await expireLoosenings(plane, clock)).toEqual([])
    expect((await plane.audit(0, 9)).at(-1)).toMatchObject({
      actor: 'curfew',
      reason: expect.stringContaining('throttleSurprise'),
    })
  })

  it('leaves other changes made meanwhile alone', async () => {
    await set('throttleSurprise', 9, day(1))
    await set('revokeSurprise', 7, null)
    today = 2
    await expireLoosenings(plane, clock)
    expect(await value('throttleSurprise')).toBe(6)
    expect(await value('revokeSurprise')).toBe(7)
  })

  it('leaves a field alone that a person has set again since', async () => {
    await set('throttleSurprise', 9, day(1))
    await set('throttleSurprise', 5, null)
    today = 2
    expect(await expireLoosenings(plane, clock)).toEqual([])
    expect(await value('throttleSurprise')).toBe(5)
  })

  it('steps back through loosenings of different lengths', async () => {
    await set('throttleSurprise', 7, day(5))
    await set('throttleSurprise', 9, day(2))
    today = 3
    await expireLoosenings(plane, clock)
    expect(await value('throttleSurprise')).toBe(7)
    today = 6
    await expireLoosenings(plane, clock)
    expect(await value('throttleSurprise')).toBe(6)
  })

  it('restores modes, and never a tightening', async () => {
    await put(() => ({ modes: [] }), day(1))
    await set('revokeSurprise', 7, day(1))
    today = 2
    expect(await expireLoosenings(plane, clock)).toEqual(['modes'])
    expect((await plane.settings()).modes).toEqual([{ mode: 'enforce' }])
    expect(await value('revokeSurprise')).toBe(7)
  })

  it('restores several fields that ended, whatever they go back to', async () => {
    await set('throttleSurprise', 7, day(9))
    await set('throttleSurprise', 9, day(1))
    await set('revokeSurprise', 12, day(1))
    today = 2
    expect((await expireLoosenings(plane, clock)).toSorted()).toEqual([
      'values.revokeSurprise',
      'values.throttleSurprise',
    ])
    expect([await value('throttleSurprise'), await value('revokeSurprise')]).toEqual([7, 8])
  })

  it('gives way to a change made at the same moment', async () => {
    await set('throttleSurprise', 9, day(1))
    today = 2
    const history = await plane.settingsHistory(10)
    expect(dueRestoration(history, clock.now())?.fields).toEqual(['values.throttleSurprise'])
    plane.settingsHistory = async () => history
    await set('revokeSurprise', 7, null)
    expect(await expireLoosenings(plane, clock)).toEqual([])
    expect(dueRestoration([], clock.now())).toBeNull()
  })
})
