import { MAX_LABEL_LENGTH } from '../core/decision.ts'

/**
 * Characters that change how their neighbours look, end a line or cannot be seen: controls, format
 * characters (bidirectional overrides, zero-width, tags), separators other than the plain space, lone
 * surrogates, private use, unassigned, and the letters that render as nothing.
 */
const ACTIVE = /[\p{C}\p{Zl}\p{Zp}\u115F\u1160\u2800\u3164\uFFA0]|(?! )\p{Zs}/gu

/** A longer run of combining marks piles up over the neighbouring lines. */
const MARK_RUN = /\p{M}{5,}/gu

const LONE_HIGH_SURROGATE_AT_END = /[\uD800-\uDBFF]$/

/**
 * Text from a log made safe to show: at most `max` UTF-16 units (an ellipsis marks the cut), every character
 * that could act instead of being read is written as `\u{hex}`. Idempotent.
 */
export function inert(text: string, max: number = MAX_LABEL_LENGTH): string {
  const head = text.length > max ? text.slice(0, max).replace(LONE_HIGH_SURROGATE_AT_END, '') : text
  const shown = head.replace(ACTIVE, escaped).replace(MARK_RUN, (run) => Array.from(run, escaped).join(''))
  if (text.length <= max && shown.length <= max) return shown
  return `${shown.slice(0, max - 1).replace(LONE_HIGH_SURROGATE_AT_END, '')}…`
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}

/** Breaks what programs would turn into a link, in a way that people still can read. */
export function withoutLinks(text: string): string {
  return text.replaceAll('://', '[:]//')
}

/**
 * A copy of plain data with every string replaced by `change(string, key)` and every array cut to `maxItems`.
 * The shape stays, so the type does.
 */
export function mapStrings<T>(value: T, maxItems: number, change: (text: string, key: string) => string): T {
  const walk = (item: unknown, key: string): unknown => {
    if (typeof item === 'string') return change(item, key)
    if (Array.isArray(item)) return item.slice(0, maxItems).map((element) => walk(element, key))
    if (item === null || typeof item !== 'object') return item
    return Object.fromEntries(Object.entries(item).map(([name, element]) => [name, walk(element, name)]))
  }
  return walk(value, '') as T
}

/**
 * JSON in pure ASCII without `<`, `>` and `&`: the same data after parsing, but harmless where a receiver
 * pastes the bytes into a page or a terminal.
 */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u007F-\uFFFF]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
