import type { CommandSpec, FlagSpec } from '../command.ts'
import { NONE } from '../command-parts.ts'

const who = (name: string, placeholder: string, description: string): FlagSpec => ({
  name,
  kind: 'text',
  placeholder,
  description,
})

const count = (name: string, unit: string, description: string, fallback: string): FlagSpec => ({
  name,
  kind: 'number',
  placeholder: 'N',
  description,
  unit,
  fallback,
  min: 1,
  max: 31_536_000,
})

/** Help, flags and exit codes of `curfew enforcement dry-run`. */
export const dryRunSpec: CommandSpec = {
  name: 'enforcement dry-run',
  summary: 'print exactly what a decision would send to each gateway',
  purpose:
    'Runs the adapters of the configuration for one decision and prints every request, command and file that they would write, with secrets as ***. Control planes are asked (only what is known to change nothing), never written to. Says nothing about whether the engine would decide it, or whether allow list, guard or planned work would stop it.',
  flags: [
    { name: 'config', kind: 'text', placeholder: 'FILE', description: 'Configuration file.', required: true },
    {
      name: 'action',
      kind: 'text',
      placeholder: 'ACTION',
      description: 'What would be done.',
      allowed: ['throttle', 'block', 'revoke-token', 'revoke-credential', 'release'],
    },
    who('principal', 'KIND:ID', 'The whole caller, by its stable id.'),
    who('token', 'ISS,JTI', 'One token; an empty ISS is none.'),
    who('token-issue', 'ISS,SUB,IAT', 'What was issued to a subject at one second.'),
    who('subject', 'ISS,SUB', 'All tokens of a subject.'),
    who('credential', 'ID', 'One credential of --principal, by its id in the log.'),
    who('network', 'NETWORK', 'What --principal does from one network, such as 203.0.113.0.'),
    {
      name: 'not-before',
      kind: 'number',
      placeholder: 'N',
      description: 'With --subject: tokens issued earlier only, epoch seconds.',
      fallback: 'tokens whenever issued',
    },
    count('requests', 'requests', 'With a throttle: how many are let through.', '60'),
    count('window-seconds', 'seconds', 'With a throttle: in how long.', '60'),
    count('hold-seconds', 'seconds', 'How long it would hold.', '3600'),
    {
      name: 'decision',
      kind: 'text',
      placeholder: 'FILE',
      description:
        'A decision as Curfew writes it, in place of --action and who. `-` is standard input; what `curfew explain --json` prints is taken, too.',
    },
    {
      name: 'gateway',
      kind: 'text',
      placeholder: 'NAME',
      description: 'Only this gateway of the configuration.',
      fallback: 'all gateways',
    },
    { name: 'offline', kind: 'switch', description: 'Ask nobody: as if nothing stood at any gateway.' },
    { name: 'json', kind: 'switch', description: 'Print one line of JSON instead of text.' },
  ],
  positionals: NONE,
  examples: [
    {
      command: 'curfew enforcement dry-run --config curfew.yaml --action block --principal app:reports',
      effect: 'what blocking a caller would send, everywhere',
    },
    {
      command: 'curfew enforcement dry-run --config curfew.yaml --decision decision.json --gateway kong-eu',
      effect: 'what a decision that waits for a person would send to one gateway',
    },
  ],
  exitCodes: [
    [0, 'printed'],
    [1, 'a gateway could not be asked or would refuse; the others are printed'],
    [2, 'bad usage or configuration, or no gateway can hold it'],
  ],
}
