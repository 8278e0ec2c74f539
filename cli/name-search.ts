import type { Principal } from '../core/event.ts'
import type { SettingsVersion } from '../engine/control-plane.ts'

/** Letters and digits: a name inside a longer word is another name. */
const WORD = '[\\p{L}\\p{N}]'

/**
 * Whether texts hold the id or the name of a principal as a word, in any case, as it is, percent-encoded or as a JSON
 * string, once or twice over. What holds only a part of it is not found.
 */
export function nameSearch({ id, label }: Principal): (text: string) => boolean {
  const spellings = [...new Set([id, label])].flatMap((name) => {
    const quoted = inJson(name)
    return [name, encodeURIComponent(Buffer.from(name).toString()), quoted, inJson(quoted)]
  })
  const any = [...new Set(spellings)].map((each) => each.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|')
  const pattern = new RegExp(`(?<!${WORD})(?:${any})(?!${WORD})`, 'iu')
  return (text) => pattern.test(text)
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

/** Whether a version of the settings holds a name in a rule or in what was said about it. */
export function settingsName(
  { settings, reason }: SettingsVersion,
  names: (text: string) => boolean,
): boolean {
  const ofModes = settings.modes.flatMap(({ principal, group }) => [principal ?? '', group ?? ''])
  const ofAllow = settings.allow.flatMap((rule) => [rule.entity, rule.reason])
  const ofWindows = (settings.maintenance ?? []).flatMap((window) => [
    window.entity ?? window.group ?? '',
    window.reason,
  ])
  return [reason, ...ofModes, ...ofAllow, ...ofWindows].some(names)
}
