import type { TextMap } from '../gateways/deny-list-store.ts'
import type { Recorder } from './recorder.ts'

/**
 * A map of texts for a dry run: what is written is recorded and seen by later reads. `entries` gives what is really
 * there; null where it may not or cannot be read.
 */
export function dryTextMap(
  recorder: Recorder,
  store: string,
  entries: (() => Promise<Iterable<readonly [string, string]>>) | null,
): TextMap {
  const written = new Map<string, string | null>()
  const write = (field: string, text: string | null) => {
    const shown = text === null ? null : recorder.mask.text(text)
    recorder.add({ kind: 'entry', ...recorder.mark(false), store, field, text: shown })
    written.set(field, text)
  }
  return {
    entries: async () => {
      const found = new Map(entries === null ? [] : await entries())
      for (const [field, text] of written) {
        if (text === null) found.delete(field)
        else found.set(field, text)
      }
      return found
    },
    set: async (field, text) => write(field, text),
    delete: async (field) => write(field, null),
    ping: async () => undefined,
  }
}
