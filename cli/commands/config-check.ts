import { CurfewError } from '../../core/errors.ts'
import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { readConfigFile } from '../config/file.ts'
import { problemLines } from '../config/load.ts'
import type { SecretReader } from '../config/secret-reader.ts'

/** Stands in for secrets that are not looked up; long enough for every minimum, and different each time. */
function unreadSecrets(): SecretReader {
  let count = 0
  const next = () => `not looked up ${String(++count).padStart(32, '0')}`
  return { env: next, file: next }
}

/** `curfew config check`: 0 when the file can be used, 2 when not. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const flag = textFlag(args, 'config')
  const [positional] = args.positionals
  if ((flag === undefined) === (positional === undefined)) {
    throw new CurfewError('USAGE', '`curfew config check` needs one FILE')
  }
  const path = flag ?? positional!
  const loaded = readConfigFile(path, io.env, isSet(args, 'no-secrets') ? unreadSecrets() : undefined)
  if (!loaded.ok) {
    for (const line of problemLines(path, loaded.problems)) io.stderr.write(`${line}\n`)
    const many = loaded.problems.length === 1 ? '1 problem' : `${loaded.problems.length} problems`
    io.stderr.write(`curfew: ${many} found, the configuration cannot be used\n`)
    return 2
  }
  for (const line of problemLines(path, loaded.warnings)) io.stderr.write(`warning: ${line}\n`)
  io.stdout.write('the configuration can be used\n')
  return 0
}
