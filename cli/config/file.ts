import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { CurfewError } from '../../core/errors.ts'
import { type LoadedConfig, loadConfig, problemLines } from './load.ts'
import { cut, type Problem } from './problem.ts'
import type { Config } from './schema.ts'
import { type SecretReader, secretReader } from './secret-reader.ts'

/** Reads and checks a configuration file. Throws `CONFIG_INVALID` when the file itself cannot be read. */
export function readConfigFile(
  path: string,
  env: Readonly<Record<string, string | undefined>>,
  secrets: SecretReader = secretReader(env, dirname(resolve(path))),
): LoadedConfig {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown reason'
    throw new CurfewError('CONFIG_INVALID', `cannot read the configuration ${cut(path)} (${why})`, { cause })
  }
  return loadConfig(text, secrets)
}

/** What a command needs to start: the configuration, or `CONFIG_INVALID` with every problem in its message. */
export function requireConfig(
  path: string,
  env: Readonly<Record<string, string | undefined>>,
  warn: (problem: Problem, line: string) => void,
): Config {
  const loaded = readConfigFile(path, env)
  if (!loaded.ok) {
    throw new CurfewError('CONFIG_INVALID', problemLines(path, loaded.problems).join('\n'))
  }
  const lines = problemLines(path, loaded.warnings)
  for (const [i, problem] of loaded.warnings.entries()) warn(problem, lines[i]!)
  return loaded.config
}
