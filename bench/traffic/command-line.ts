/** An option that makes no sense; the message is one line for the user. */
export class OptionsError extends Error {}

/** `--name value`, `--name=value` and flags; anything else is refused. */
export function readOptions(
  args: readonly string[],
  names: readonly string[],
  flagNames: readonly string[],
): { readonly values: ReadonlyMap<string, string>; readonly flags: ReadonlySet<string> } {
  const values = new Map<string, string>()
  const flags = new Set<string>()
  for (let i = 0; i < args.length; i++) {
    const [, name, inline] = /^--([a-z-]+)(?:=(.*))?$/s.exec(args[i]!) ?? []
    if (name !== undefined && flagNames.includes(name) && inline === undefined) {
      flags.add(name)
      continue
    }
    if (name === undefined || !names.includes(name)) throw new OptionsError(`unknown option ${args[i]}`)
    const value = inline ?? args[++i]
    if (value === undefined || value === '') throw new OptionsError(`--${name} needs a value`)
    values.set(name, value)
  }
  return { values, flags }
}

/** A seed: a whole number from 0 to 2^31 - 1. */
export function seedOption(text: string | undefined): number {
  if (text === undefined) throw new OptionsError('--seed N is missing')
  const seed = Number(text)
  if (!/^\d{1,10}$/.test(text) || seed >= 2 ** 31) {
    throw new OptionsError(`--seed is a whole number from 0 to ${2 ** 31 - 1}, not ${text}`)
  }
  return seed
}
