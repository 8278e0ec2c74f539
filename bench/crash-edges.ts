import { appendFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AlertSink } from '../alerts/sink.ts'
import type { GatewayAdapter, Rule } from '../enforcement/gateway.ts'

const ACTIONS = ['throttle', 'block', 'revoke-token', 'revoke-credential'] as const
const SCOPES = ['token', 'token-issue', 'subject', 'credential', 'principal'] as const

/** A gateway that outlives the process: one file per rule, replaced in one step. */
export async function folderGateway(folder: string): Promise<GatewayAdapter> {
  await mkdir(folder, { recursive: true })
  return {
    name: 'folder',
    kind: 'folder',
    can: ACTIONS.flatMap((action) => SCOPES.map((scope) => ({ action, scope, worstCaseDelayMs: 0 }))),
    list: async () => [...(await rulesIn(folder)).values()].map((text) => JSON.parse(text) as Rule),
    put: async (rule) => {
      const path = join(folder, rule.id)
      await writeFile(`${path}.tmp`, JSON.stringify(rule))
      await rename(`${path}.tmp`, path)
    },
    remove: (id) => rm(join(folder, id), { force: true }),
    check: async () => undefined,
  }
}

/** What a folder gateway holds: the text of each rule by its id. */
export async function rulesIn(folder: string): Promise<ReadonlyMap<string, string>> {
  const rules = new Map<string, string>()
  for (const name of (await readdir(folder)).sort()) {
    // One that goes meanwhile is not held.
    const text = name.endsWith('.tmp') ? null : await readFile(join(folder, name), 'utf8').catch(() => null)
    if (text !== null) rules.set(name, text)
  }
  return rules
}

/** People who read a file: one line per message that reached them. Messages there cannot be edited. */
export function fileSink(path: string): AlertSink {
  return {
    name: 'file',
    deliver: async (message) => {
      const { id, incident, transition } = message.alert
      await appendFile(path, `${JSON.stringify({ id, incident, transition })}\n`)
      return null
    },
    deliverDigest: async (digest) => {
      throw new Error(`digest ${digest.id}: the limits of this channel are not to be reached`)
    },
  }
}

/** Messages that reached a file sink, oldest first. */
export async function messagesIn(
  path: string,
): Promise<readonly { readonly id: string; readonly incident: string; readonly transition: string }[]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { id: string; incident: string; transition: string })
}
