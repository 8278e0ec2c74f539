import { existsSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CurfewError, type ErrorCode } from '../core/errors.ts'
import { findCommand, parseCommand } from './arguments.ts'
import type { CommandModule, CommandSpec, Io } from './command.ts'
import { COMMAND_SPECS } from './command-specs.ts'
import { cut } from './config/problem.ts'
import { commandHelp, overview } from './usage.ts'

/** Failures that a person mends before starting again: the configuration, or a service that is not there. */
const START_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'CONFIG_INVALID',
  'USAGE',
  'SECRET_MISSING',
  'STORE_UNREACHABLE',
  'STORE_CONFLICT',
  'STORE_FENCED',
  'STORE_MAY_EVICT',
  'LOG_UNREACHABLE',
])

/** Finds the file of a command, or null when this build does not have it. */
export type CommandFiles = (name: string) => Promise<CommandModule | null>

/** Files in `commands/`, named like the command with hyphens; `.ts` from sources, `.js` when built. */
export const builtInCommands: CommandFiles = async (name) => {
  const url = commandUrl(name)
  if (!existsSync(url)) return null
  const module: unknown = await import(url.href)
  return module as CommandModule
}

function commandUrl(name: string): URL {
  const extension = extname(fileURLToPath(import.meta.url))
  return new URL(`./commands/${name.replaceAll(' ', '-')}${extension}`, import.meta.url)
}

function offered(): readonly CommandSpec[] {
  return COMMAND_SPECS.filter((spec) => existsSync(commandUrl(spec.name)))
}

/**
 * Runs one command line and returns the exit code. Whatever goes wrong is told on standard error in one
 * line that starts with `curfew: `; only a defect of the program shows its stack.
 */
export async function runCommandLine(
  words: readonly string[],
  io: Io,
  files: CommandFiles = builtInCommands,
  specs: readonly CommandSpec[] = offered(),
): Promise<number> {
  try {
    const [first] = words
    if (first === undefined) {
      io.stderr.write(overview(specs))
      return 2
    }
    if (first === '--version' || first === '-v') {
      io.stdout.write(`${version()}\n`)
      return 0
    }
    if (first === '--help' || first === '-h' || first === 'help') {
      const rest = words.slice(1)
      io.stdout.write(rest.length === 0 ? overview(specs) : commandHelp(findCommand(rest, specs).spec))
      return 0
    }
    const { spec, rest, help } = findCommand(words, specs)
    if (help) {
      io.stdout.write(commandHelp(spec))
      return 0
    }
    const args = parseCommand(spec, rest)
    const module = await files(spec.name)
    if (module === null) throw new CurfewError('USAGE', `this build has no command \`${spec.name}\``)
    return await module.run(args, io)
  } catch (error) {
    return failure(error, words, io)
  }
}

function failure(error: unknown, words: readonly string[], io: Io): number {
  if (!(error instanceof CurfewError)) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
    io.stderr.write(`curfew: this is a defect of Curfew, please report it\n${detail}\n`)
    return 1
  }
  const hint = error.code === 'USAGE' ? ` (see \`curfew ${helpTopic(words)}--help\`)` : ''
  io.stderr.write(`curfew: ${oneLine(error.message)}${hint}\n`)
  return START_FAILURES.has(error.code) ? 2 : 1
}

/** The command to ask for help about: the longest known name at the start of the words. */
function helpTopic(words: readonly string[]): string {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ')
    if (COMMAND_SPECS.some((spec) => spec.name === name)) return `${name} `
  }
  return ''
}

function oneLine(message: string): string {
  return message
    .split('\n')
    .map((line) => cutLong(line))
    .join('; ')
}

/** Escapes without cutting messages of usual length. */
function cutLong(line: string): string {
  const parts = line.match(/.{1,80}/gsu) ?? []
  return parts.slice(0, 25).map(cut).join('')
}

/** Version of the package, which lies one folder up from sources and two from the build. */
function version(): string {
  for (const place of ['../package.json', '../../package.json']) {
    const url = new URL(place, import.meta.url)
    if (!existsSync(url)) continue
    const { version } = JSON.parse(readFileSync(url, 'utf8')) as { readonly version: string }
    return version
  }
  return 'unknown'
}
