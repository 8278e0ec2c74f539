import type { CommandSpec, FlagSpec } from './command.ts'
import { config, NONE, USAGE_EXIT } from './command-parts.ts'
import { drill } from './drill/spec.ts'
import { dryRunSpec } from './dry-run/spec.ts'
import { format, formats, formatsTry } from './format-specs.ts'

const requiredConfig: FlagSpec = {
  name: 'config',
  kind: 'text',
  placeholder: 'FILE',
  description: 'Configuration file.',
  required: true,
}

const output = (name: string, description: string): FlagSpec => ({
  name,
  kind: 'text',
  placeholder: 'OUT',
  description: `${description} \`-\` is standard output.`,
  fallback: 'not written',
})

const gatewayFlag: FlagSpec = {
  name: 'gateway',
  kind: 'text',
  placeholder: 'NAME',
  description: 'Only this gateway of the configuration.',
  fallback: 'all gateways',
}

const start: CommandSpec = {
  name: 'start',
  summary: 'run Curfew: the embedded demo, or a service with --config',
  purpose:
    'Without --config: learns from a bundled Kong access log, then plays the 3 AM export live against a demo gateway on this machine and shows what happens. Needs no Kafka, no Redis and no gateway. With --config: the same as `curfew run` with one worker.',
  flags: [
    config('the demo'),
    { name: 'exit', kind: 'switch', description: 'End the demo with its story instead of serving on.' },
  ],
  positionals: NONE,
  examples: [
    { command: 'npm start', effect: 'shows the demo and serves the dashboard on loopback' },
    { command: 'npm start -- --config curfew.yaml', effect: 'runs Curfew as a service' },
  ],
  exitCodes: [[0, 'stopped on request'], [1, 'failed while running'], USAGE_EXIT],
}

const run: CommandSpec = {
  name: 'run',
  summary: 'run Curfew as a service',
  purpose:
    'Reads the sources of the configuration, learns, judges, alerts and enforces until stopped with SIGINT or SIGTERM; then finishes what it has begun and exits.',
  flags: [
    requiredConfig,
    {
      name: 'workers',
      kind: 'number',
      placeholder: 'N',
      description: 'Processes that share the partitions. More than one needs a kafka log and a redis store.',
      unit: 'processes',
      fallback: '1',
      min: 1,
      max: 256,
    },
  ],
  positionals: NONE,
  examples: [
    { command: 'curfew run --config curfew.yaml', effect: 'one process' },
    { command: 'curfew run --config curfew.yaml --workers 4', effect: 'four processes' },
  ],
  exitCodes: [[0, 'stopped on request'], [1, 'failed while running'], USAGE_EXIT],
}

const replay: CommandSpec = {
  name: 'replay',
  summary: 'judge recorded logs in event time, touching nothing',
  purpose:
    'Replays logs (plain, .gz, `-` for standard input; several files in the order given, as one stream) as fast as it can. No gateway is touched. Progress goes to standard error; the last line of standard output is a JSON summary. The same input gives the same bytes in every output but the summary.',
  flags: [
    format,
    config('built-in defaults'),
    output('alerts', 'Incident transitions, NDJSON.'),
    output('decisions', 'Decisions, NDJSON.'),
    output('scores', 'One line per accepted event, NDJSON.'),
    output('rejected', 'Unreadable lines with the reason, NDJSON, secrets scrubbed.'),
    output(
      'coverage',
      'What was missing in the log, NDJSON; judged from its beginning, whatever --state holds.',
    ),
    {
      name: 'state',
      kind: 'text',
      placeholder: 'DIR',
      description: 'Folder to resume from and to save to; must come from the same configuration.',
      fallback: 'starts from nothing, saves nothing',
    },
  ],
  positionals: { usage: 'FILE...', min: 1, max: 100_000 },
  examples: [
    {
      command: 'curfew replay --alerts alerts.ndjson access.ndjson.gz',
      effect: 'which incidents would have been opened',
    },
    {
      command: 'curfew replay --state week --scores scores.ndjson monday.log tuesday.log',
      effect: 'learns, scores and keeps the state for Wednesday',
    },
  ],
  exitCodes: [
    [0, 'replayed to the end, whatever was found'],
    [1, 'a file could not be read to its end'],
    [2, 'bad usage or configuration, or a state of another configuration'],
  ],
}

const configCheck: CommandSpec = {
  name: 'config check',
  summary: 'check a configuration file',
  purpose:
    'Names every problem of a configuration file with its line: unknown keys and what was meant, impossible values and what is allowed, secrets that are missing or stand in the file. Connects to nothing.',
  flags: [
    {
      name: 'config',
      kind: 'text',
      placeholder: 'FILE',
      description: 'The file, when not given as an argument.',
    },
    {
      name: 'no-secrets',
      kind: 'switch',
      description: 'Do not look up environment variables and secret files, for instance in a pipeline.',
    },
  ],
  positionals: { usage: '[FILE]', min: 0, max: 1 },
  examples: [
    { command: 'curfew config check curfew.yaml', effect: 'prints problems as FILE:LINE: message' },
    {
      command: 'curfew config check --no-secrets samples/config/production.yaml',
      effect: 'checks all but the secrets',
    },
  ],
  exitCodes: [
    [0, 'the file can be used; warnings may have been printed'],
    [2, 'it cannot, or it cannot be read'],
  ],
}

const configReference: CommandSpec = {
  name: 'config reference',
  summary: 'print the reference of all settings',
  purpose:
    'Prints every setting with its description, default and unit, from the schema that also checks the file: as Markdown, or as a JSON Schema for editors.',
  flags: [
    { name: 'schema', kind: 'switch', description: 'Print the JSON Schema instead of the page.' },
    { name: 'write', kind: 'switch', description: 'Write both into --folder instead of printing.' },
    {
      name: 'folder',
      kind: 'text',
      placeholder: 'DIR',
      description: 'Where --write puts configuration.md and config.schema.json.',
      fallback: 'docs/reference',
    },
  ],
  positionals: NONE,
  examples: [
    { command: 'curfew config reference | less', effect: 'reads the page' },
    {
      command: 'curfew config reference --schema > curfew.schema.json',
      effect: 'gives an editor something to check with',
    },
  ],
  exitCodes: [[0, 'done'], [1, 'the folder cannot be written'], USAGE_EXIT],
}

const panic: CommandSpec = {
  name: 'panic',
  summary: 'lift everything Curfew has put into force, now',
  purpose:
    'Asks every gateway of the configuration for the rules that carry our mark and removes all of them. Needs no engine, no Redis and no Kafka; foreign rules are not touched. Without --gateway it also latches Curfew to observe, whether it runs or is started later, until `curfew resume`.',
  flags: [
    requiredConfig,
    gatewayFlag,
    { name: 'dry-run', kind: 'switch', description: 'Only print what would be removed.' },
  ],
  positionals: NONE,
  examples: [
    { command: 'curfew panic --config curfew.yaml', effect: 'lifts everything everywhere' },
    {
      command: 'curfew panic --config curfew.yaml --gateway kong-eu --dry-run',
      effect: 'shows what stands at one gateway',
    },
  ],
  exitCodes: [
    [0, 'nothing of ours is left, and the latch is set'],
    [1, 'a gateway could not be asked, something is left, or nothing could be latched'],
    USAGE_EXIT,
  ],
}

const resume: CommandSpec = {
  name: 'resume',
  summary: 'let Curfew act again after `panic` or a loss of what was learnt',
  purpose:
    'Ends what keeps Curfew in observe whatever its settings say: a `curfew panic`, or a state store that lost what it held. The reason is written to the audit log before it takes effect; a running Curfew acts on it within a second.',
  flags: [
    requiredConfig,
    {
      name: 'reason',
      kind: 'text',
      placeholder: 'TEXT',
      description: 'Why it is safe to act again, for the audit.',
      required: true,
    },
  ],
  positionals: NONE,
  examples: [
    {
      command: 'curfew resume --config curfew.yaml --reason false-alarm',
      effect: 'enforces again as the settings say',
    },
    {
      command: 'curfew resume --config /etc/curfew.yaml --reason INC-4711',
      effect: 'the same, with a ticket as the reason',
    },
  ],
  exitCodes: [
    [0, 'nothing keeps Curfew in observe any more'],
    [1, 'it could not be audited yet; the next Curfew that runs on this machine takes it'],
    USAGE_EXIT,
  ],
}

const sweep: CommandSpec = {
  name: 'sweep',
  summary: 'remove expired rules that were left behind at gateways',
  purpose:
    'Removes rules with our mark whose time is over, for gateways that do not expire them alone. Needs no engine, no Redis and no Kafka; safe to run from a timer beside a running engine.',
  flags: [
    requiredConfig,
    gatewayFlag,
    { name: 'dry-run', kind: 'switch', description: 'Only print what would be removed.' },
  ],
  positionals: NONE,
  examples: [
    { command: 'curfew sweep --config curfew.yaml', effect: 'removes what has expired' },
    { command: 'curfew sweep --config curfew.yaml --dry-run', effect: 'shows what has expired' },
  ],
  exitCodes: [
    [0, 'nothing expired is left'],
    [1, 'a gateway could not be asked or something is left'],
    USAGE_EXIT,
  ],
}

const explain: CommandSpec = {
  name: 'explain',
  summary: 'say why an incident was opened or a decision was made',
  purpose:
    'Asks a running Curfew for an incident or a decision and prints the evidence: what was observed, what was expected, compared with what, what was done at which gateway, and how to undo it.',
  flags: [requiredConfig, { name: 'json', kind: 'switch', description: 'Print JSON instead of text.' }],
  positionals: { usage: 'ID', min: 1, max: 1 },
  examples: [
    {
      command: 'curfew explain --config curfew.yaml inc_0123456789abcdef0123',
      effect: 'explains an incident',
    },
    {
      command: 'curfew explain --config curfew.yaml --json dec_0123456789abcdef0123',
      effect: 'a decision, for a script',
    },
  ],
  exitCodes: [[0, 'explained'], [1, 'no such incident or decision'], USAGE_EXIT],
}

const forget: CommandSpec = {
  name: 'forget',
  summary: 'forget a principal and whatever names it',
  purpose:
    'Has a running Curfew forget a principal: its profile, its incidents and decisions, and whatever else names it. The configuration needs a token with role admin. Refused while a decision on the principal stands and while the settings name it. What people were told outside, and topics until their retention, still name it.',
  flags: [
    requiredConfig,
    { name: 'reason', kind: 'text', placeholder: 'TEXT', description: 'Why; sealed in the audit.' },
    {
      name: 'tenant',
      kind: 'text',
      placeholder: 'NAME',
      description: 'Tenant of the principal.',
      fallback: 'default',
    },
  ],
  positionals: { usage: 'PRINCIPAL', min: 1, max: 1 },
  examples: [
    {
      command: 'curfew forget --config curfew.yaml --reason asked-in-writing consumer:alice',
      effect: 'forgets a consumer by its name or its stable id',
    },
    {
      command: 'curfew forget --config curfew.yaml --reason left --tenant acme ip:203.0.113.9',
      effect: 'an address of another tenant',
    },
  ],
  exitCodes: [[0, 'the engine forgets it'], [1, 'refused, or no such principal'], USAGE_EXIT],
}

const backfill: CommandSpec = {
  name: 'backfill',
  summary: 'teach Curfew from recorded logs before going live',
  purpose:
    'Puts recorded logs of one source into the log of the configuration, each call at its own time, so that callers are known on the first day; `curfew run` learns them before it goes on. Old calls are never acted on; calls young enough to be are left out and counted. An embedded log must not be in use meanwhile. The last line of standard output is a JSON summary.',
  flags: [
    requiredConfig,
    {
      name: 'source',
      kind: 'text',
      placeholder: 'NAME',
      description: 'Source of the configuration that the files come from.',
      fallback: 'the only source',
    },
  ],
  positionals: { usage: 'FILE...', min: 1, max: 100_000 },
  examples: [
    {
      command: 'curfew backfill --config curfew.yaml last-month/*.gz',
      effect: 'learns from a month of logs',
    },
    {
      command: 'curfew backfill --config curfew.yaml --source kong-eu access.log',
      effect: 'for one of several sources',
    },
  ],
  exitCodes: [[0, 'learnt to the end'], [1, 'a file could not be read to its end'], USAGE_EXIT],
}

const auditVerify: CommandSpec = {
  name: 'audit verify',
  summary: 'check that the audit log is complete and unchanged',
  purpose:
    'Recomputes the hash chain of the audit log and names the first entry that was changed, removed or added.',
  flags: [
    { ...config('give --config or FILE'), description: 'Configuration whose store holds the audit log.' },
  ],
  positionals: { usage: '[FILE]', min: 0, max: 1 },
  examples: [
    { command: 'curfew audit verify --config curfew.yaml', effect: 'verifies the log in the store' },
    { command: 'curfew audit verify audit.ndjson', effect: 'verifies an exported log' },
  ],
  exitCodes: [[0, 'complete and unchanged'], [1, 'it is not'], USAGE_EXIT],
}

/** Every command, in the order of the help. */
export const COMMAND_SPECS: readonly CommandSpec[] = [
  start,
  run,
  replay,
  configCheck,
  configReference,
  formats,
  formatsTry,
  panic,
  resume,
  sweep,
  dryRunSpec,
  drill,
  explain,
  forget,
  backfill,
  auditVerify,
]
