import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../core/time.ts'

/** What a command may touch of the world around it. */
export interface Io {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** Whether a person looks at standard output. */
  readonly isTerminal: boolean
}

/** A flag of a command. */
export interface FlagSpec {
  /** Without the dashes. */
  readonly name: string
  /** `switch` takes no value. */
  readonly kind: 'text' | 'number' | 'switch'
  /** What the value is called in the help, such as `FILE`. */
  readonly placeholder?: string
  readonly description: string
  /** What holds when the flag is not given, in words. */
  readonly fallback?: string
  readonly unit?: string
  readonly min?: number
  readonly max?: number
  readonly allowed?: readonly string[]
  readonly required?: boolean
}

/** What `curfew` knows about a command: enough to parse its arguments and to teach it. */
export interface CommandSpec {
  /** One or two words. */
  readonly name: string
  readonly summary: string
  readonly purpose: string
  readonly flags: readonly FlagSpec[]
  /** The arguments that are not flags. */
  readonly positionals: { readonly usage: string; readonly min: number; readonly max: number }
  readonly examples: readonly { readonly command: string; readonly effect: string }[]
  readonly exitCodes: readonly (readonly [number, string])[]
}

/** Checked arguments of a command: only flags that it declares, each of its kind and in its bounds. */
export interface ParsedArgs {
  readonly flags: ReadonlyMap<string, string | number | true>
  readonly positionals: readonly string[]
}

/** What a file in `commands/` exports. The result is the exit code. */
export interface CommandModule {
  run(args: ParsedArgs, io: Io): Promise<number>
}

/** The value of a text flag, or undefined when it was not given. */
export function textFlag(args: ParsedArgs, name: string): string | undefined {
  const value = args.flags.get(name)
  return typeof value === 'string' ? value : undefined
}

/** The value of a number flag, or undefined when it was not given. */
export function numberFlag(args: ParsedArgs, name: string): number | undefined {
  const value = args.flags.get(name)
  return typeof value === 'number' ? value : undefined
}

/** Whether a switch was given. */
export function isSet(args: ParsedArgs, name: string): boolean {
  return args.flags.get(name) === true
}
