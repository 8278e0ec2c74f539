import type { Call } from '../public/call-judge.ts'

/** Names of the columns; every peer gets the same rows. */
export const FEATURES = [
  'requests-10min',
  'requests-1h',
  'requests-1d',
  'objects-1d',
  'gap',
  'route-rarity',
  'object-rarity',
  'hour-sin',
  'hour-cos',
  'day-against-own-past',
] as const

/** What a row is made from. */
export interface FeatureCall extends Pick<Call, 'time' | 'principal'> {
  /** Kind of call: the operation, the type of document. */
  readonly kind: string
  /** What it is about: the repository, the company. */
  readonly object: string
}

interface Past {
  calls: number
  last: number
  readonly windows: { index: number; count: number }[]
  readonly objectsToday: Set<string>
  readonly kinds: Map<string, number>
  readonly objects: Map<string, number>
  daySum: number
  days: number
}

const SECOND_MS = 1_000
const DAY_MS = 86_400_000
const WINDOWS_MS = [600_000, 3_600_000, DAY_MS] as const
const DAY = 2

/**
 * Rows of features per call, from this call and the caller's earlier ones only. Counts, gaps and rarities
 * are natural logarithms, so that no column drowns another.
 */
export class FeatureRows {
  private readonly callers = new Map<string, Past>()

  /** The row of the next call in arrival order. */
  next({ time, principal, kind, object }: FeatureCall): readonly number[] {
    const past = this.callers.get(principal) ?? newPast()
    this.callers.set(principal, past)
    for (const [w, length] of WINDOWS_MS.entries()) count(past, w, Math.floor(time / length))
    past.objectsToday.add(object)
    const today = Math.log1p(past.windows[DAY]!.count)
    const angle = (2 * Math.PI * (time % DAY_MS)) / DAY_MS
    const row = [
      ...past.windows.map((window) => Math.log1p(window.count)),
      Math.log1p(past.objectsToday.size),
      past.calls === 0 ? 0 : Math.log1p(Math.max(0, time - past.last) / SECOND_MS),
      rarity(past.kinds.get(kind), past.calls),
      rarity(past.objects.get(object), past.calls),
      Math.sin(angle),
      Math.cos(angle),
      past.days === 0 ? 0 : today - past.daySum / past.days,
    ]
    past.calls++
    past.last = time
    past.kinds.set(kind, (past.kinds.get(kind) ?? 0) + 1)
    past.objects.set(object, (past.objects.get(object) ?? 0) + 1)
    return row
  }
}

function newPast(): Past {
  return {
    calls: 0,
    last: 0,
    windows: WINDOWS_MS.map(() => ({ index: -1, count: 0 })),
    objectsToday: new Set(),
    kinds: new Map(),
    objects: new Map(),
    daySum: 0,
    days: 0,
  }
}

function count(past: Past, w: number, index: number): void {
  const window = past.windows[w]!
  if (index > window.index) {
    if (w === DAY && window.index >= 0) {
      past.daySum += Math.log1p(window.count)
      past.days++
      past.objectsToday.clear()
    }
    window.index = index
    window.count = 0
  }
  window.count++
}

/** -ln of the smoothed share that the value has of the caller's past. */
function rarity(seen: number | undefined, calls: number): number {
  return -Math.log(((seen ?? 0) + 0.5) / (calls + 1))
}
