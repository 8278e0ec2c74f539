/** One thing wrong with a configuration file. */
export interface Problem {
  /** Line in the file, from 1. */
  readonly line: number
  /** Where in the configuration, such as `sources[0].format`; empty for the file as a whole. */
  readonly path: string
  readonly message: string
}

/** Collects what is wrong (`no`) and what is doubtful (`beware`), with the line of the setting. */
export interface Reporter {
  no(path: string, message: string): void
  beware(path: string, message: string): void
}

/** How much of a value a message repeats. */
const MAX_SHOWN = 80

/** Invisible or direction-changing characters, which could forge lines in a terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu

/** A value as a message shows it: quoted when text, cut, with control characters escaped. */
export function shown(value: unknown): string {
  if (typeof value !== 'string') return cut(String(value))
  return `"${cut(value)}"`
}

/** Text as a message shows it: cut to 80 characters, with control characters escaped. */
export function cut(text: string): string {
  return escaped(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text)
}

/** Text of any length with control characters escaped, so that it stays on its line. */
export function escaped(text: string): string {
  return text.replace(UNPRINTABLE, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`)
}
