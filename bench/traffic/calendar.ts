export const SECOND = 1_000
export const MINUTE = 60_000
export const HOUR = 3_600_000
export const DAY = 86_400_000

/** Monday. The four weeks hold a release, the end of European summer time, a month end and its American end. */
export const START = Date.UTC(2026, 9, 5)
export const DAYS = 28
export const LEARN_DAYS = 14
export const JUDGE_FROM = START + LEARN_DAYS * DAY
export const END = START + DAYS * DAY

/** The end of summer time in Europe: 25 October 2026, 01:00 UTC. */
export const EUROPE_DST = Date.UTC(2026, 9, 25, 1)
const EASTERN_DST = Date.UTC(2026, 10, 1, 6)
const PACIFIC_DST = Date.UTC(2026, 10, 1, 9)

interface Zone {
  readonly name: string
  /** Hours ahead of UTC in summer. */
  readonly hours: number
  /** When the clock goes back by one hour; Infinity for never. */
  readonly back: number
  /** Days of the log on which few people work. */
  readonly holidays: readonly number[]
  readonly share: number
}

const day = (month: number, date: number) => (Date.UTC(2026, month - 1, date) - START) / DAY

export const ZONES: readonly Zone[] = [
  { name: 'Europe/Vienna', hours: 2, back: EUROPE_DST, holidays: [day(10, 26)], share: 0.26 },
  { name: 'Europe/London', hours: 1, back: EUROPE_DST, holidays: [], share: 0.16 },
  { name: 'America/New_York', hours: -4, back: EASTERN_DST, holidays: [day(10, 12)], share: 0.22 },
  { name: 'America/Los_Angeles', hours: -7, back: PACIFIC_DST, holidays: [day(10, 12)], share: 0.12 },
  { name: 'Asia/Kolkata', hours: 5.5, back: Infinity, holidays: [day(10, 20)], share: 0.12 },
  { name: 'Asia/Tokyo', hours: 9, back: Infinity, holidays: [day(10, 12)], share: 0.06 },
  { name: 'America/Sao_Paulo', hours: -3, back: Infinity, holidays: [day(10, 12)], share: 0.06 },
]

/** Milliseconds to add to UTC for the local time of a zone. */
export function offsetAt(zone: number, time: number): number {
  const z = ZONES[zone]!
  return (time >= z.back ? z.hours - 1 : z.hours) * HOUR
}

/** 0 is Monday. */
export function weekday(dayIndex: number): number {
  return ((dayIndex % 7) + 7) % 7
}

export function isHoliday(zone: number, dayIndex: number): boolean {
  return ZONES[zone]!.holidays.includes(dayIndex)
}

/** The day of the log that a time falls on; negative before it. */
export function dayOf(time: number): number {
  return Math.floor((time - START) / DAY)
}
