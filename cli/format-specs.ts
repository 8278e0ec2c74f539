import { FORMAT_NAMES } from '../ingest/formats/catalog.ts'
import type { CommandSpec, FlagSpec } from './command.ts'
import { config, NONE, USAGE_EXIT } from './command-parts.ts'

/** The format of logs that a command reads. */
export const format: FlagSpec = {
  name: 'format',
  kind: 'text',
  placeholder: 'FORMAT',
  description: 'Log format; `auto` tells it by the first lines of the first file.',
  allowed: ['auto', ...FORMAT_NAMES],
  fallback: 'the only source of --config, else kong',
}

/** `curfew formats` */
export const formats: CommandSpec = {
  name: 'formats',
  summary: 'list the log formats',
  purpose: 'Lists the log formats that can be read, and the page that says what to configure at the gateway.',
  flags: [],
  positionals: NONE,
  examples: [
    { command: 'curfew formats', effect: 'prints a table' },
    { command: 'curfew formats | grep aws', effect: 'finds a gateway' },
  ],
  exitCodes: [[0, 'printed'], USAGE_EXIT],
}

/** `curfew formats try` */
export const formatsTry: CommandSpec = {
  name: 'formats try',
  summary: 'show how the first lines of a log are understood',
  purpose:
    'Tells the format of a log by its first lines, unless it is given, and shows what is understood of them field by field, what is missing, and what that costs in detection. Says so when it is not sure. Touches nothing.',
  flags: [
    { ...format, fallback: 'auto' },
    {
      ...config('built-in defaults'),
      description: 'Configuration whose source of this format says how to read it.',
    },
    {
      name: 'lines',
      kind: 'number',
      placeholder: 'N',
      description: 'Lines to look at.',
      fallback: '200',
      unit: 'lines',
      min: 1,
      max: 100_000,
    },
  ],
  positionals: { usage: 'FILE', min: 1, max: 1 },
  examples: [
    { command: 'curfew formats try access.log', effect: 'tells the format and shows what is in it' },
    { command: 'curfew formats try --format nginx access.log.gz', effect: 'for lines that could be several' },
  ],
  exitCodes: [
    [0, 'at least one call was understood'],
    [1, 'none was, or the format could not be told'],
    USAGE_EXIT,
  ],
}
