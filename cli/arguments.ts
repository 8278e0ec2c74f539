import { parseArgs } from 'node:util'
import { CurfewError } from '../core/errors.ts'
import type { CommandSpec, FlagSpec, ParsedArgs } from './command.ts'
import { nearest } from './config/nearest.ts'
import { cut, shown } from './config/problem.ts'

/** The command that the first words name, and the words behind it; `help` when it was asked for. */
export interface Invocation {
  readonly spec: CommandSpec
  readonly rest: readonly string[]
  readonly help: boolean
}

/** Finds the command. Throws `USAGE` with the nearest known one. */
export function findCommand(words: readonly string[], specs: readonly CommandSpec[]): Invocation {
  const terminator = words.indexOf('--')
  const before = terminator === -1 ? words : words.slice(0, terminator)
  const help = before.some((word) => word === '--help' || word === '-h')
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ')
    const spec = specs.find((candidate) => candidate.name === name)
    if (spec !== undefined && words.length >= length) return { spec, rest: words.slice(length), help }
  }
  const [first = '', second = ''] = words
  const family = specs.filter((spec) => spec.name.startsWith(`${first} `)).map((spec) => spec.name)
  const typed = family.length > 0 && second !== '' && !second.startsWith('-') ? `${first} ${second}` : first
  const names = specs.map((spec) => spec.name)
  const near = nearest(typed, names)
  const meant =
    near !== null
      ? `; did you mean \`${near}\`?`
      : family.length > 0
        ? `; there is: ${family.join(', ')}`
        : ''
  throw usage(`there is no command ${shown(typed)}${meant}`)
}

/** Checks flags and arguments against what the command declares. Throws `USAGE` naming what is wrong. */
export function parseCommand(spec: CommandSpec, words: readonly string[]): ParsedArgs {
  const options = Object.fromEntries(
    spec.flags.map((flag) => [flag.name, { type: flag.kind === 'switch' ? 'boolean' : 'string' } as const]),
  )
  // Not strict, because its messages name neither the nearest flag nor what is allowed.
  const { tokens } = parseArgs({
    args: [...words],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const flags = new Map<string, string | number | true>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const flag = spec.flags.find((candidate) => candidate.name === token.name)
    if (flag === undefined || !token.rawName.startsWith('--')) {
      const near = nearest(
        token.name,
        spec.flags.map((candidate) => candidate.name),
      )
      throw usage(
        `\`curfew ${spec.name}\` has no flag ${cut(token.rawName)}${near === null ? '' : `; did you mean --${near}?`}`,
      )
    }
    if (flags.has(flag.name)) throw usage(`--${flag.name} is given twice`)
    flags.set(flag.name, flagValue(flag, token.value, token.inlineValue === true))
  }
  const missing = spec.flags.find((flag) => flag.required && !flags.has(flag.name))
  if (missing !== undefined) {
    throw usage(`\`curfew ${spec.name}\` needs --${missing.name} ${missing.placeholder ?? ''}`.trimEnd())
  }
  checkPositionals(spec, positionals)
  return { flags, positionals }
}

function checkPositionals(spec: CommandSpec, given: readonly string[]): void {
  const { min, max, usage: expected } = spec.positionals
  if (given.length < min) throw usage(`\`curfew ${spec.name}\` needs ${expected}`)
  if (given.length > max) {
    const surplus = shown(given[max])
    throw usage(
      max === 0
        ? `\`curfew ${spec.name}\` takes no argument, got ${surplus}`
        : `one argument too many: ${surplus}`,
    )
  }
}

function flagValue(flag: FlagSpec, value: string | undefined, isInline: boolean): string | number | true {
  const name = `--${flag.name}`
  if (flag.kind === 'switch') {
    if (isInline) throw usage(`${name} takes no value`)
    return true
  }
  const looksLikeFlag = value !== undefined && !isInline && value.length > 1 && value.startsWith('-')
  if (value === undefined || value === '' || (looksLikeFlag && Number.isNaN(Number(value)))) {
    throw usage(`${name} needs a value: ${name} ${flag.placeholder ?? 'VALUE'}`)
  }
  if (flag.allowed !== undefined && !flag.allowed.includes(value)) {
    const near = nearest(value, flag.allowed)
    const meant = near === null ? '' : `; did you mean \`${near}\`?`
    throw usage(`${name} is ${shown(value)}, allowed are ${flag.allowed.join(', ')}${meant}`)
  }
  return flag.kind === 'number' ? numberValue(flag, value) : value
}

function numberValue(flag: FlagSpec, value: string): number {
  const number = /^-?\d+$/.test(value) ? Number(value) : Number.NaN
  const min = flag.min ?? 0
  const max = flag.max ?? Number.MAX_SAFE_INTEGER
  if (!(number >= min && number <= max)) {
    throw usage(`--${flag.name} is ${shown(value)}, allowed is a whole number from ${min} to ${max}`)
  }
  return number
}

function usage(message: string): CurfewError {
  return new CurfewError('USAGE', message)
}
