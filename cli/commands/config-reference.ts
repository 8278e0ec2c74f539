import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { jsonSchema, referencePage } from '../config/reference.ts'

/** `curfew config reference`: prints or writes the reference page and the JSON Schema. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  if (!isSet(args, 'write')) {
    io.stdout.write(isSet(args, 'schema') ? jsonSchema() : referencePage())
    return 0
  }
  const folder = textFlag(args, 'folder') ?? 'docs/reference'
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'configuration.md'), referencePage())
    writeFileSync(join(folder, 'config.schema.json'), jsonSchema())
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'unknown reason'
    io.stderr.write(`curfew: cannot write the reference into --folder (${why})\n`)
    return 1
  }
  return 0
}
