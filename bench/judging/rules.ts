/** The rules of judging that are numbers; the others are told where they are applied. */

export const DAY_MS = 86_400_000
export const HOUR_MS = 3_600_000

/** Warm-up of a caller ends with whichever comes first. */
export const WARM_UP_EVENTS = 40
export const WARM_UP_MS = 7 * DAY_MS

/** One alarm per entity in this time; also how long after an attack its caller is not charged. */
export const ALARM_MS = DAY_MS

/** False-alarm principal-days per 1,000 at which detection is told. */
export const OPERATING_POINTS = [1, 5, 20] as const
/** The budgets that the engine is run with, one run each; `falseAlarmBudget` of its settings. */
export const BUDGETS: readonly number[] = OPERATING_POINTS
/** The budget whose decisions are judged: the default. */
export const MAIN_BUDGET = 5
/** Points of the partial area: from 0.5 to 20 in steps of 0.5, each with the same weight. */
export const AREA_POINTS: readonly number[] = Array.from({ length: 40 }, (_, i) => (i + 1) / 2)

/** Detected within so many harmful events. */
export const EVENT_LIMITS = [5, 20, 100] as const
/** Sizes of the daily lists whose precision is told. */
export const LIST_SIZES = [5, 20] as const

/** How a call counts. */
export const CALL_KINDS = ['ordinary', 'warm-up', 'attack', 'noise', 'after-attack'] as const
export type CallKind = (typeof CALL_KINDS)[number]

/** Whether a caller that made `earlier` calls since `first` (epoch ms) is still in its warm-up at `time`. */
export function inWarmUp(earlier: number, first: number, time: number): boolean {
  return earlier < WARM_UP_EVENTS && time - first < WARM_UP_MS
}

/** Words of the engine's features, where the labels use another one. */
const LABEL_WORDS: Readonly<Record<string, string>> = {
  hour: 'hours',
  operation: 'route',
  client: 'agent',
  refusals: 'errors',
  id: 'objects',
}

/** The word of the labels that a reason's feature speaks of: `requests/1h` of requests, `hour-of-week/...` of hours. */
export function featureWord(feature: string): string {
  const word = /^[a-z]+/.exec(feature)?.[0] ?? ''
  return LABEL_WORDS[word] ?? word
}
