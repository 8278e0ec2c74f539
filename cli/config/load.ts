import { Checker } from './check.ts'
import { cut, type Problem } from './problem.ts'
import { crossChecks } from './rules.ts'
import { type Config, configSchema } from './schema.ts'
import type { SecretReader } from './secret-reader.ts'
import { readYaml } from './yaml-document.ts'

/** A configuration that can be run, or everything that is wrong with it, in the order of the file. */
export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/**
 * Reads a configuration file: YAML, schema, secrets, and the rules that look at several settings. Never
 * throws for what stands in the file, and never repeats a secret in a message.
 */
export function loadConfig(text: string, secrets: SecretReader): LoadedConfig {
  const document = readYaml(text)
  if ('problems' in document) return { ok: false, problems: document.problems }
  const checker = new Checker(secrets)
  const value = checker.check(configSchema, document.root, '', 1)
  if (checker.problems.length > 0) return { ok: false, problems: inOrder(checker.problems) }
  // The checker has compared every value with the schema that this type is derived from.
  const config = value as Config
  const found = crossChecks(config, (path) => checker.lines.get(path) ?? 1)
  if (found.problems.length > 0) return { ok: false, problems: inOrder(found.problems) }
  return { ok: true, config, warnings: inOrder(found.warnings) }
}

/** One line per problem, as `file:line: path: message`. */
export function problemLines(fileName: string, problems: readonly Problem[]): readonly string[] {
  return problems.map(({ line, path, message }) => {
    const place = `${cut(fileName)}:${line}:`
    return path === '' || message.startsWith('`') ? `${place} ${message}` : `${place} ${path}: ${message}`
  })
}

function inOrder(problems: readonly Problem[]): readonly Problem[] {
  return [...problems].sort((a, b) => a.line - b.line)
}
