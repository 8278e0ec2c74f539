/** A numeric option of a benchmark, `--name 5` or `--name=5`. */
export function numberOption(args: readonly string[], name: string, fallback: number): number {
  const at = args.findIndex((a) => a === `--${name}` || a.startsWith(`--${name}=`))
  if (at < 0) return fallback
  const text = args[at]!.includes('=') ? args[at]!.split('=')[1] : args[at + 1]
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} needs a positive number, not ${text}`)
  return value
}
