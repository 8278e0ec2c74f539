/**
 * The record of one profile in memory. Offsets are bytes from its start; little-endian; every field is
 * aligned to its size. Changing anything here needs a new LAYOUT_VERSION and a migration in codec.ts.
 */
export const LAYOUT_VERSION = 2

/** What is counted. `records` and `bytes` count served calls only. */
export const METRICS = ['requests', 'records', 'bytes'] as const
/** Tumbling windows of event time, aligned to the epoch. */
export const WINDOWS = ['1m', '10m', '1h', '1d'] as const
export const WINDOW_MS = [60_000, 600_000, 3_600_000, 86_400_000] as const
export const METRIC_COUNT = 3
export const WINDOW_COUNT = 4
/** One cell per metric and window; index = metric * WINDOW_COUNT + window. */
export const CELLS = METRIC_COUNT * WINDOW_COUNT
export const HOUR_WINDOW = 2
export const DAY_WINDOW = 3

/** Hours of a week, Monday 00:00 UTC first. */
export const HOURS_OF_WEEK = 168
/** Level cells: 24 hours of a working day, 24 of a weekend day. */
export const LEVEL_CELLS = 48
/** Level offsets are stored in steps of 1/256 nat. */
export const LEVEL_STEPS_PER_NAT = 256

export const CORE = {
  firstSeen: 0, // f64, epoch ms
  lastSeen: 8, // f64, epoch ms
  events: 16, // f64
  hourIndex: 24, // u32, hours since the epoch
  dayIndex: 28, // u32, days since the epoch
  activeHours: 32, // f32, sum of the activity cells
  hourSurprise: 36, // f32, surprise of being active in the current hour; negative = abstain
  dayMaxSurprise: 40, // f32, largest combined surprise today
  dayEvents: 44, // u32
  previousDayEvents: 48, // u32
  activeDays: 52, // u16
  flags: 54, // u8, see FLAG_*
  tainted: 55, // u8, bit per window that holds quarantined calls
  lateEvents: 56, // u32
  quarantinedEvents: 60, // u32
} as const

/** Set when an incident froze the profile for too long; cleared when learning has caught up or a person decided. */
export const FLAG_STALE = 1
/** Set while the principal counts in what is known about all, as one of the owner whose bucket is in the upper bits. */
export const FLAG_COUNTS = 2
/** The bits of the flags from this one on are the bucket of the owner. */
export const OWNER_SHIFT = 3

export const WINDOW_INDEX = 64 // u32[WINDOW_COUNT]
export const TOTAL = 80 // f64[CELLS], running totals of the open windows
export const SEEN = 176 // f32[CELLS], closed windows learnt, bounded by MEMORY
export const MEAN = 224 // f32[CELLS], mean of ln(1 + total) less the hour's level
export const M2 = 272 // f32[CELLS], sum of squared deviations
export const ACTIVITY = 320 // u8[HOURS_OF_WEEK]
export const LEVEL_WEIGHT = 488 // u16[LEVEL_CELLS]
export const LEVEL_REQUESTS = 584 // i16[LEVEL_CELLS]
export const LEVEL_VOLUME = 680 // i16[LEVEL_CELLS]
/** Detector sections follow the fixed part. */
export const FIXED_BYTES = 776

/** Derived fields behind the stored ones; never written. */
export const DERIVED_BYTES = 152
export const DERIVED = {
  median: 0, // f32[CELLS], predicted median of the whole window, as a count
  center: 48, // f32[CELLS], predicted mean of ln(1 + total)
  inverseScale: 96, // f32[CELLS]
  version: 144, // u32, knowledge version + 1 the fields were derived under; 0 = not derived
} as const

/** How many closed windows of each length are remembered (exponential forgetting beyond). */
export const MEMORY = [500, 300, 336, 45] as const

/** Hour of the week of an instant, 0..167, Monday 00:00 UTC = 0 (the epoch was a Thursday). */
export function hourOfWeek(hourIndex: number): number {
  return (hourIndex + 72) % HOURS_OF_WEEK
}

/** Level cell of an hour of the week. */
export function levelCell(hour: number): number {
  return hour >= 120 ? 24 + (hour % 24) : hour % 24
}
