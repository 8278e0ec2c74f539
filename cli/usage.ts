import type { CommandSpec, FlagSpec } from './command.ts'

const WIDTH = 92

/** What `curfew --help` prints. */
export function overview(specs: readonly CommandSpec[]): string {
  const widest = Math.max(...specs.map((spec) => spec.name.length))
  return [
    'Curfew learns how each caller of an API behaves from gateway logs, and throttles or revokes',
    'a caller that stops behaving like itself.',
    '',
    'Usage: curfew COMMAND [FLAGS] [ARGUMENTS]',
    '',
    'Commands:',
    ...specs.map((spec) => `  ${spec.name.padEnd(widest)}  ${spec.summary}`),
    '',
    'curfew COMMAND --help explains a command with examples. curfew --version prints the version.',
    '',
  ].join('\n')
}

/** What `curfew COMMAND --help` prints. */
export function commandHelp(spec: CommandSpec): string {
  const { usage } = spec.positionals
  const flags = spec.flags.length === 0 ? [] : ['', 'Flags:', ...flagLines(spec.flags)]
  return [
    `Usage: curfew ${spec.name}${spec.flags.length > 0 ? ' [FLAGS]' : ''}${usage === '' ? '' : ` ${usage}`}`,
    '',
    ...wrap(spec.purpose, ''),
    ...flags,
    '',
    'Examples:',
    ...spec.examples.flatMap(({ command, effect }) => [`  ${command}`, `      ${effect}`]),
    '',
    'Exit codes:',
    ...spec.exitCodes.map(([code, meaning]) => `  ${code}  ${meaning}`),
    '',
  ].join('\n')
}

function flagLines(flags: readonly FlagSpec[]): readonly string[] {
  const heads = flags.map(
    (flag) => `--${flag.name}${flag.kind === 'switch' ? '' : ` ${flag.placeholder ?? 'VALUE'}`}`,
  )
  const widest = Math.max(...heads.map((head) => head.length))
  return flags.flatMap((flag, i) => {
    const [first = '', ...rest] = wrap(flagText(flag), ' '.repeat(widest + 4))
    return [`  ${heads[i]!.padEnd(widest)}  ${first.trimStart()}`, ...rest]
  })
}

function flagText(flag: FlagSpec): string {
  const allowed = flag.allowed === undefined ? '' : ` One of ${flag.allowed.join(', ')}.`
  const range = flag.min === undefined ? '' : ` From ${flag.min} to ${flag.max} ${flag.unit ?? ''}.`
  const fallback = flag.required
    ? ' Required.'
    : flag.fallback === undefined
      ? ''
      : ` Default: ${flag.fallback}.`
  return `${flag.description}${allowed}${range.replace(' .', '.')}${fallback}`
}

function wrap(text: string, indent: string): readonly string[] {
  const lines: string[] = []
  let line = indent
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== '') {
      lines.push(line)
      line = indent
    }
    line += line === indent ? word : ` ${word}`
  }
  return [...lines, line]
}
