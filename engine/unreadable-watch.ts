import type { UnreadableLines } from '../core/unreadable.ts'
import { sourceKey } from '../core/unreadable.ts'

/** Lines are counted in windows of this length, event time. */
const WINDOW_MS = 600_000
/** A rise is at least this many lines in a window, whatever is usual. */
const MIN_LINES = 20
/** Lines per window that are expected of whom nothing is known. */
const EXPECTED_OF_SOURCE = 2
const EXPECTED_OF_ADDRESS = 1
/** Windows that are remembered; older ones fade exponentially. A day. */
const MEMORY = 144
/** Lines of one address that count against its source in a window: beyond, the address answers for itself. */
const SHARE_OF_ADDRESS = 10
/** Addresses and sources that are watched at the same time. */
const MAX_WATCHED = 2_048

/** What is known about the unreadable lines of one address or source. Plain JSON, so it is stored as it is. */
interface Watched {
  /** Number of the open window. */
  window: number
  /** Lines in it. */
  lines: number
  /** Usual lines per window, and the windows that this was learnt from. */
  mean: number
  windows: number
}

/** More unreadable lines than can be explained by what is usual. */
export interface Rise {
  readonly of: 'address' | 'source'
  /** Key of the incident that it belongs to. */
  readonly key: string
  /** Lines in the open window. */
  readonly lines: number
  readonly expected: number
  /** -log10 of the probability of so many. */
  readonly surprise: number
  /** Lines that 99 % of windows stay below. */
  readonly usualMost: number
}

/**
 * Counts unreadable lines per source and per address. The number in a window is compared with a geometric
 * distribution around the usual number: a Gamma-Poisson mixture of shape 1, the widest that has its mode at
 * 0, so that gateways whose lines are always a little broken stay quiet. Its tail is P(X >= k) =
 * (m / (1 + m))^k. Bounded: beyond {@link MAX_WATCHED} an address only counts for its source.
 */
export class UnreadableWatch {
  private readonly watched = new Map<string, Watched>()
  private dirty = false

  /** Counts lines at an instant of event time; what is surprising about that, strongest entity first. */
  take(report: UnreadableLines, at: number, isOpen: (key: string) => boolean): readonly Rise[] {
    this.dirty = true
    const window = Math.floor(at / WINDOW_MS)
    const source = sourceKey(report.tenant, report.source)
    const rises: Rise[] = []
    let counted = report.lines
    if (report.address !== null) {
      const key = `${source}\u0000${report.address}`
      const entry = this.entryOf(key, window, isOpen)
      if (entry !== null) {
        counted = Math.max(0, Math.min(report.lines, SHARE_OF_ADDRESS - entry.lines))
        entry.lines += report.lines
        this.judge(rises, 'address', key, entry, EXPECTED_OF_ADDRESS)
      }
    }
    if (counted > 0) {
      const entry = this.entryOf(source, window, isOpen)
      if (entry !== null) {
        entry.lines += counted
        this.judge(rises, 'source', source, entry, EXPECTED_OF_SOURCE)
      }
    }
    return rises
  }

  private judge(rises: Rise[], of: Rise['of'], key: string, entry: Watched, least: number): void {
    const { lines } = entry
    if (lines < MIN_LINES) return
    const expected = Math.max(least, entry.mean)
    const perLine = Math.log10(1 + 1 / expected)
    rises.push({ of, key, lines, expected, surprise: lines * perLine, usualMost: Math.ceil(2 / perLine) })
  }

  private entryOf(key: string, window: number, isOpen: (key: string) => boolean): Watched | null {
    const known = this.watched.get(key)
    if (known === undefined) {
      if (this.watched.size >= MAX_WATCHED) this.forgetIdle(window)
      if (this.watched.size >= MAX_WATCHED) return null
      const entry = { window, lines: 0, mean: 0, windows: 0 }
      this.watched.set(key, entry)
      return entry
    }
    // Lines that come late count in the open window: time does not run backwards here.
    if (window > known.window) close(known, window - known.window, isOpen(key))
    return known
  }

  private forgetIdle(window: number): void {
    for (const [key, entry] of this.watched) {
      const idle = window - entry.window
      if (idle > MEMORY || (idle > 1 && entry.mean < 1)) this.watched.delete(key)
    }
  }

  /** Drops what is known under the keys of which a statement holds. */
  forget(holds: (key: string) => boolean): void {
    for (const key of this.watched.keys()) {
      if (!holds(key)) continue
      this.watched.delete(key)
      this.dirty = true
    }
  }

  /** Everything as JSON when it changed since the last call, else null. */
  takeChanges(): string | null {
    if (!this.dirty) return null
    this.dirty = false
    return JSON.stringify([...this.watched])
  }

  restore(json: string): void {
    this.watched.clear()
    for (const [key, entry] of JSON.parse(json) as [string, Watched][]) this.watched.set(key, entry)
  }
}

/**
 * Ends the open window and the empty ones behind it. What belongs to an incident is not learnt, and no
 * window counts as more than three times the usual.
 */
function close(entry: Watched, passed: number, tainted: boolean): void {
  const most = 3 * Math.max(EXPECTED_OF_SOURCE, entry.mean)
  if (!tainted) {
    entry.windows = Math.min(MEMORY, entry.windows + 1)
    entry.mean += (Math.min(entry.lines, most) - entry.mean) / entry.windows
  }
  for (let empty = Math.min(MEMORY, passed - 1); empty > 0; empty--) {
    entry.windows = Math.min(MEMORY, entry.windows + 1)
    entry.mean -= entry.mean / entry.windows
  }
  entry.window += passed
  entry.lines = 0
}
