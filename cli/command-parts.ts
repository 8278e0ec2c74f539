import type { FlagSpec } from './command.ts'

/** The configuration file, where a command can do without one. */
export const config = (fallback: string): FlagSpec => ({
  name: 'config',
  kind: 'text',
  placeholder: 'FILE',
  description: 'Configuration file.',
  fallback,
})

/** Exit code of a command line that cannot be carried out. */
export const USAGE_EXIT = [
  2,
  'bad usage or configuration, or a service needed at the start cannot be reached',
] as const
/** A command without arguments. */
export const NONE = { usage: '', min: 0, max: 0 } as const
