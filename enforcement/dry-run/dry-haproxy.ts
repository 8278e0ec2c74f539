import type { HaproxyCommands } from '../gateways/haproxy-maps.ts'
import type { Recorder } from './recorder.ts'

/** Commands of the Runtime API that change nothing. Any other is not sent. */
const READ = /^(show|get) /

interface FileChanges {
  /** Values by key that were set or added. */
  readonly values: Map<string, string>
  /** References that were removed. */
  readonly removed: Set<string>
  /** Keys that were added here, by the number in the reference that stands for HAProxy's own. */
  readonly made: string[]
}

/** Longer than an address of memory, which is what HAProxy's own references are. */
const MADE = `0x${'d'.repeat(20)}`

/** One HAProxy process that believes what a dry run tells it; reads go through `real` unless it is offline. */
export function dryHaproxy(recorder: Recorder, real: HaproxyCommands): HaproxyCommands {
  const files = new Map<string, FileChanges>()
  const changesOf = (file: string) => {
    const found = files.get(file) ?? { values: new Map(), removed: new Set(), made: [] }
    files.set(file, found)
    return found
  }

  async function answer(line: string, ask: (line: string) => Promise<string>): Promise<string> {
    const isRead = READ.test(line)
    const command = recorder.mask.text(line)
    recorder.add({ kind: 'haproxy', ...recorder.mark(isRead), socket: real.socketPath, command })
    const [verb, , file = '', key = '', value = ''] = line.split(' ')
    if (!isRead) {
      change(changesOf(file), verb, key, value)
      return ''
    }
    const changes = changesOf(file)
    if (verb === 'get') {
      const set = changes.values.get(key)
      if (set !== undefined) return `type=str, case=sensitive, found=yes, key="${key}", value="${set}"`
      return recorder.offline ? 'type=str, case=sensitive, found=no' : ask(line)
    }
    return withChanges(recorder.offline ? '' : await ask(line), changes)
  }

  return {
    socketPath: real.socketPath,
    command: (line, stop) => answer(line, (asked) => real.command(asked, stop)),
    session: (stop, work) =>
      recorder.offline
        ? work((line) => answer(line, async () => ''))
        : real.session(stop, (ask) => work((line) => answer(line, ask))),
  }
}

function change(changes: FileChanges, verb: string | undefined, key: string, value: string): void {
  const { values, removed, made } = changes
  if (verb === 'del' && key.startsWith(`#${MADE}`))
    values.delete(made[Number(key.slice(MADE.length + 1))] ?? '')
  else if (verb === 'del') removed.add(key.slice(1))
  else {
    if (verb === 'add') made.push(key)
    values.set(key, value)
  }
}

/** A listing of a map with the changes in it. */
function withChanges(listing: string, { values, removed, made }: FileChanges): string {
  const kept = listing.split('\n').flatMap((line) => {
    const [reference = '', key = ''] = line.split(' ')
    if (reference === '' || removed.has(reference)) return []
    const value = values.get(key)
    return [value === undefined ? line : `${reference} ${key} ${value}`]
  })
  const added = made.flatMap((key, i) => {
    const value = values.get(key)
    return value === undefined ? [] : [`${MADE}${i} ${key} ${value}`]
  })
  return [...kept, ...added].join('\n')
}
