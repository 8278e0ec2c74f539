import { hourOfWeek } from '../../baseline/layout.ts'
import { DAY_MS, HOUR_MS } from '../../core/time.ts'
import { FieldShares } from './field-shares.ts'
import type { Finding } from './finding.ts'
import { type CounterReading, GatewayCount } from './gateway-count.ts'
import { HourRates } from './hour-rates.ts'
import { COUNTS, FIELDS, LINES, SlotRing, WINDOWS } from './slots.ts'

/** Lines that were due and did not come before a silence counts, however regular the feed is. */
const MIN_OWED = 20
/** A silence counts when twice as many lines are due as ever failed to come for a while. */
const OWED_MARGIN = 2
const MIN_SILENCE_SLOTS = WINDOWS[0]
/** A shortfall is looked for where so many lines are due. */
const MIN_DUE = 60
/** `low`: below this share of what is due on such a day, */
const LOW = 0.62
/** A day may be as quiet as this before the longest window says anything else. */
const QUIET_DAY = 0.8
/** and clearly below the lowest share ever seen over such a window. */
const LOW_MARGIN = 0.85
/** Standard deviations that a shortfall must have at least; how much counts vary is learnt per window. */
const MIN_DEVIATION = 4.5
/** So many standard deviations of a low are chance; what is left of it is how days differ. */
const CHANCE = 3
/** Hours that how much counts vary is averaged over. */
const MEMORY_HOURS = 336
/** Weeks that must be known before a shortfall can be told from a usual one. */
const LOW_WEEKS = 2
const GROWTH_PER_DAY = 1.25
const FULL = 0.8
/** What is remembered of the worst quiet hour fades: halved in about four weeks. */
const FADE = 0.999
const FIRST_LOW_WINDOW = 1
const LONGEST_WINDOW = WINDOWS.length - 1

/** What is stored of a feed; the counts of the longest window are not. */
export interface FeedState {
  readonly rates: readonly number[]
  readonly weeks: readonly number[]
  readonly lowest: readonly number[]
  readonly low: readonly number[]
  readonly variance: readonly number[]
  readonly varianceHours: number
  readonly spread: number
  readonly lastLineAt: number
}

/**
 * The lines of one gateway, or of all gateways of a source together: what is usual, and what is missing now.
 * Slots must be closed one after the other; the same slots give the same findings.
 */
export class Feed {
  /** End of the last slot that had a line, epoch ms. */
  lastLineAt: number
  readonly ring = new SlotRing(COUNTS)
  readonly count: GatewayCount
  private readonly slotMs: number
  private rates: HourRates
  private fields: FieldShares
  /** Most lines that were due and failed to come for a while although nothing was wrong. */
  private spread: number
  private dayStartSpread: number
  private readonly due = new SlotRing(1)
  private readonly low: number[]
  /** Variance of a window's count over what was due (1 = Poisson), and the hours that it was learnt from. */
  private readonly variance: number[]
  private varianceHours: number
  /** Lows of this hour and the one before: they count once nothing turned out to be missing. */
  private lowsNow: number[] = WINDOWS.map(() => 1)
  private lowsBefore: number[] = WINDOWS.map(() => 1)
  private wholeBefore = false
  /** Lines due since the last one. */
  private owed = 0
  private hourLines = 0
  /** Observed from the start of the hour, and nothing missing. */
  private hourWhole = false
  private emptySlots = 0
  private longestEmpty = 0
  private late = 0

  constructor(slotMs: number, bornAt: number, state?: FeedState) {
    this.slotMs = slotMs
    this.count = new GatewayCount(slotMs)
    this.rates = new HourRates(state?.rates, state?.weeks)
    this.fields = new FieldShares(slotMs, state?.lowest)
    this.spread = state?.spread ?? 0
    this.dayStartSpread = this.spread
    this.low = WINDOWS.map((_, i) => state?.low[i] ?? 1)
    this.variance = WINDOWS.map((_, i) => state?.variance[i] ?? 1)
    this.varianceHours = state?.varianceHours ?? 0
    this.lastLineAt = bornAt
  }

  state(): FeedState {
    const { rates, fields, low, variance, varianceHours, spread, lastLineAt } = this
    const rounded = (values: readonly number[]) => values.map((v) => Math.round(v * 1e4) / 1e4)
    return {
      rates: rounded(rates.lines),
      weeks: rates.weeks,
      lowest: rounded(fields.lowest),
      low: rounded(low),
      variance: rounded(variance),
      varianceHours,
      spread,
      lastLineAt,
    }
  }

  read(slot: number, reading: CounterReading): void {
    this.count.read(slot, reading)
  }

  /** Lines that came after their slot was closed; they count where they came. */
  noteLate(lines: number): void {
    this.late += lines
  }

  /**
   * Closes a slot. `missing`: which aspects (lines, then {@link FIELDS}) have an open incident, from which
   * nothing is learnt. `blind`: Curfew did not run, so nothing is due.
   */
  close(slot: number, counts: readonly number[] | null, missing: readonly boolean[], blind: boolean): void {
    const start = slot * this.slotMs
    const hour = Math.floor(start / HOUR_MS)
    if (start % HOUR_MS === 0) {
      this.closeHour(hour - 1)
      this.hourWhole = true
    }
    const learns = !missing[0] && !blind
    if (!learns) this.hourWhole = false
    const due = blind ? 0 : (this.rates.careful(hour) * this.slotMs) / HOUR_MS
    this.ring.push(counts)
    this.due.push([due])
    this.count.close(slot)
    this.takeLines(counts?.[LINES] ?? 0, due, start, learns)
    if (learns) this.noteLows(hour)
    this.fields.note(
      this.ring,
      FIELDS.map((_, f) => learns && !missing[f + 1]),
    )
  }

  private takeLines(lines: number, due: number, start: number, learns: boolean): void {
    this.hourLines += lines
    if (lines === 0) {
      this.owed += due
      this.emptySlots++
      this.longestEmpty = Math.max(this.longestEmpty, this.emptySlots)
      return
    }
    if (learns) this.spread = Math.max(this.spread, Math.min(this.owed, this.mostSpread(start)))
    this.owed = 0
    this.emptySlots = 0
    this.lastLineAt = start + this.slotMs
  }

  private noteLows(hour: number): void {
    if (this.rates.observed(hour) === 0) return
    for (let w = FIRST_LOW_WINDOW; w < WINDOWS.length; w++) {
      const due = this.due.sum(w, 0)
      if (due < MIN_DUE || !this.due.isFull(w)) continue
      const atMost = this.ring.sum(w, LINES) + CHANCE * this.deviation(w, due)
      this.lowsNow[w] = Math.min(this.lowsNow[w]!, atMost / due)
    }
  }

  private closeHour(hour: number): void {
    if (this.hourWhole) {
      this.rates.learn(hour, this.hourLines)
      this.spread = Math.max(
        this.spread * FADE,
        ((this.longestEmpty * this.slotMs) / HOUR_MS) * this.hourLines,
      )
    }
    if (this.hourWhole) this.learnVariance()
    for (let w = 0; w < this.low.length; w++) {
      const before = this.hourWhole && this.wholeBefore ? this.lowsBefore[w]! : 1
      this.low[w] = Math.min(before, 1 - (1 - this.low[w]!) * FADE)
    }
    this.lowsBefore = this.lowsNow
    this.lowsNow = WINDOWS.map(() => 1)
    this.wholeBefore = this.hourWhole
    if (hour % 24 === 23) this.dayStartSpread = this.spread
    this.fields.closeHour(hour)
    this.hourLines = 0
    this.emptySlots = 0
    this.longestEmpty = 0
    this.late = 0
  }

  /** Chance, not mood: how far two windows that follow each other differ. How days differ shows in the lows. */
  private learnVariance(): void {
    this.varianceHours = Math.min(MEMORY_HOURS, this.varianceHours + 1)
    if (!this.ring.isFull(LONGEST_WINDOW)) return
    for (let w = FIRST_LOW_WINDOW; w < LONGEST_WINDOW; w++) {
      const last = this.ring.sum(w, LINES)
      const before = this.ring.sumBefore(w, LINES)
      const both = last + before
      if (both >= 2)
        this.variance[w]! += ((last - before) ** 2 / both - this.variance[w]!) / this.varianceHours
    }
    this.variance[LONGEST_WINDOW] = this.variance[LONGEST_WINDOW - 1]!
  }

  /** What is missing of the lines at the end of a slot; the gravest first. */
  missingLines(time: number, maxSilenceMs: number | null): Finding | null {
    return this.silent(time, maxSilenceMs) ?? this.uncounted(time) ?? this.tooLow(time)
  }

  missingField(field: number, time: number): Finding | null {
    return this.fields.lost(field, this.ring, Math.floor((time - 1) / HOUR_MS), time)
  }

  fieldIsBack(field: number, usual: number): boolean {
    return this.fields.found(field, this.ring, usual)
  }

  /** Whether the lines come again as they should, after an incident of `kind`; what told it must tell its end. */
  linesAreBack(kind: Finding['kind'], time: number, maxSilenceMs: number | null): boolean {
    if (this.silent(time, maxSilenceMs) !== null || this.ring.sum(0, LINES) === 0) return false
    const keepsUp = this.count.keepsUp(this.ring)
    if (keepsUp === false || (kind === 'uncounted' && keepsUp === null)) return false
    const window = this.due.sum(FIRST_LOW_WINDOW, 0) >= MIN_OWED ? FIRST_LOW_WINDOW : FIRST_LOW_WINDOW + 1
    if (kind === 'low' && !this.due.isFull(window)) return false
    const due = this.due.sum(window, 0)
    return due < MIN_OWED || this.ring.sum(window, LINES) >= FULL * due
  }

  /** Whether a silence is on its way that would explain a shortfall of the whole source. */
  get suspect(): boolean {
    return this.owed >= this.mostOwed() / 2
  }

  /** How much is known: hours of the week observed at least once, of 168. */
  get knownHours(): number {
    return this.rates.weeks.reduce((sum, weeks) => sum + Math.min(1, weeks), 0)
  }

  /** Lines due in the hour of an instant; null while that hour is not known. */
  dueInHour(time: number): number | null {
    const hour = hourOfWeek(Math.floor(time / HOUR_MS))
    return this.rates.weeks[hour] === 0 ? null : this.rates.lines[hour]!
  }

  /** Forgets what was usual: the new state of things is. */
  relearn(): void {
    this.rates = new HourRates()
    this.fields = new FieldShares(this.slotMs)
    this.spread = 0
    this.low.fill(1)
    this.owed = 0
    this.due.clear()
  }

  /** Starts all windows anew, so that what was missing is not told again. */
  restart(): void {
    this.ring.clear()
    this.due.clear()
  }

  isGone(time: number, afterDays: number): boolean {
    return time - this.lastLineAt > afterDays * DAY_MS
  }

  private mostOwed(): number {
    return Math.max(MIN_OWED, OWED_MARGIN * this.spread)
  }

  /** How quiet the longest window was before this one: days differ. */
  private level(window: number): number {
    const due = this.due.sum(LONGEST_WINDOW, 0) - this.due.sum(window, 0)
    if (due < MIN_DUE || !this.due.isFull(LONGEST_WINDOW)) return 1
    const lines = this.ring.sum(LONGEST_WINDOW, LINES) - this.ring.sum(window, LINES)
    return Math.max(QUIET_DAY, Math.min(1, lines / due))
  }

  /** Standard deviation of a window's count by chance alone. */
  private deviation(window: number, due: number): number {
    return Math.sqrt(due * Math.max(1, this.variance[window]!))
  }

  /** Once two weeks are known, longer silences become usual by a bounded share per day. */
  private mostSpread(start: number): number {
    const known = this.rates.observed(Math.floor(start / HOUR_MS)) >= LOW_WEEKS
    return known ? GROWTH_PER_DAY * Math.max(MIN_OWED, this.dayStartSpread) : Number.POSITIVE_INFINITY
  }

  private silent(time: number, maxSilenceMs: number | null): Finding | null {
    const silence = time - this.lastLineAt
    const unusual = this.owed >= this.mostOwed() && silence >= MIN_SILENCE_SLOTS * this.slotMs
    if (!unusual && (maxSilenceMs === null || silence < maxSilenceMs)) return null
    const since = this.lastLineAt
    return { kind: 'silent', aspect: 'lines', observed: 0, expected: this.owed, since, windowMs: silence }
  }

  private uncounted(time: number): Finding | null {
    return this.count.missing(this.ring, this.late / Math.max(1, this.ring.sum(LONGEST_WINDOW, LINES)), time)
  }

  private tooLow(time: number): Finding | null {
    if (this.rates.observed(Math.floor((time - 1) / HOUR_MS)) < LOW_WEEKS) return null
    for (let w = FIRST_LOW_WINDOW; w < WINDOWS.length; w++) {
      const due = this.due.sum(w, 0) * this.level(w)
      const lines = this.ring.sum(w, LINES)
      if (due < MIN_DUE || !this.due.isFull(w) || lines >= LOW * due) continue
      const isUsual = lines >= LOW_MARGIN * this.low[w]! * due
      if (isUsual || due - lines < MIN_DEVIATION * this.deviation(w, due)) continue
      const windowMs = WINDOWS[w]! * this.slotMs
      return {
        kind: 'low',
        aspect: 'lines',
        observed: lines,
        expected: due,
        since: time - windowMs,
        windowMs,
      }
    }
    return null
  }
}
