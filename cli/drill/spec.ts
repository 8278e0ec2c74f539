import type { CommandSpec } from '../command.ts'
import { NONE, USAGE_EXIT } from '../command-parts.ts'

/** Help, flags and exit codes of `curfew drill`. */
export const drill: CommandSpec = {
  name: 'drill',
  summary: 'check the whole chain with a canary that gets itself refused',
  purpose:
    'Calls through the real gateway as the canary of `drill` until a running Curfew has it refused there, waits until every alert channel was told, lifts the decision and calls until it is served again. Prints how long each step took, or names the link that is broken. Cleans up behind itself, and behind an earlier drill that could not.',
  flags: [
    {
      name: 'config',
      kind: 'text',
      placeholder: 'FILE',
      description: 'Configuration file, with a section `drill`.',
      required: true,
    },
    { name: 'json', kind: 'switch', description: 'Print one line of JSON instead of text.' },
  ],
  positionals: NONE,
  examples: [
    { command: 'curfew drill --config curfew.yaml', effect: 'drills once' },
    {
      command: 'curfew drill --config curfew.yaml --json',
      effect: 'the same from a timer, for a record over time',
    },
  ],
  exitCodes: [
    [0, 'the canary was refused, told about, and served again'],
    [1, 'a link is broken (its name is printed), or the drill was interrupted'],
    USAGE_EXIT,
  ],
}
