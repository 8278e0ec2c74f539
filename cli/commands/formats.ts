import { ABOUT } from '../../ingest/formats/about.ts'
import { FORMAT_NAMES } from '../../ingest/formats/catalog.ts'
import type { Io, ParsedArgs } from '../command.ts'
import { tableText } from '../table.ts'

/** `curfew formats`: which logs can be read. */
export async function run(_args: ParsedArgs, io: Io): Promise<number> {
  const rows = FORMAT_NAMES.map((name) => {
    const about = ABOUT[name]
    return [name, about?.gateway ?? '', about?.page ?? 'its log as it is']
  })
  io.stdout.write(tableText(['format', 'gateway', 'what to configure'], rows))
  return 0
}
