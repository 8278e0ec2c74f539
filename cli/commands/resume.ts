import { CurfewError } from '../../core/errors.ts'
import { type Io, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { cut } from '../config/problem.ts'
import { LatchFolder } from '../latch-folder.ts'
import { resumeLatches } from '../resumption.ts'

const MAX_REASON = 500

/** `curfew resume`: ends what keeps Curfew in observe, audited; 0 when nothing keeps it there any more. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  const reason = textFlag(args, 'reason')?.trim() ?? ''
  if (path === undefined || reason === '')
    throw new CurfewError('USAGE', 'resume needs --config FILE and --reason TEXT')
  if (reason.length > MAX_REASON)
    throw new CurfewError('USAGE', `--reason is longer than ${MAX_REASON} characters`)
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const folder = new LatchFolder(config.enforcement.folder)
  const { ended, trouble, waits } = await resumeLatches(config, folder, reason, io.clock)
  for (const { id, cause, time, reason: why } of ended)
    io.stdout.write(`ended ${id}: ${cause} since ${time} (${cut(why)})\n`)
  if (trouble !== null) io.stdout.write(`store: cannot be used (${cut(trouble)})\n`)
  if (waits) {
    io.stdout.write(
      'not resumed: it cannot be audited now; the next Curfew that runs on this machine takes it\n',
    )
    return 1
  }
  io.stdout.write(
    ended.length === 0 ? 'nothing keeps Curfew in observe\n' : 'Curfew acts again as its settings say\n',
  )
  return 0
}
