import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StateStore } from '../baseline/store.ts'
import { type Clock, isoTime } from '../core/time.ts'
import type { GatewayAdapter } from '../enforcement/gateway.ts'
import type { OpenedLog } from './build-storage.ts'
import type { Config } from './config/schema.ts'

/** The record of an installation in its store: while it is there, so is what was learnt beside it. */
const DOCUMENT = 'installation'
const FILE = 'installation.json'
/** A gateway that does not answer by then says nothing about the past. */
const ASK_MS = 5_000

export interface InstallationParts {
  readonly config: Config
  readonly store: StateStore
  readonly opened: OpenedLog
  readonly gateways: readonly GatewayAdapter[]
  readonly clock: Clock
}

/**
 * Looks whether a store without a record is that of a first start, or one that lost what it held. Signs of an
 * earlier life are kept where a flushed store does not reach: a file on this machine, records in the event log,
 * rules of ours at the gateways. Returns what speaks for a loss; empty when nothing does. Afterwards the record is
 * in the store and on this machine.
 */
export async function signsOfLoss(parts: InstallationParts): Promise<readonly string[]> {
  const { config, store, clock } = parts
  const { folder } = config.enforcement
  const path = join(folder, FILE)
  const found = await store.getDocument(DOCUMENT)
  const local = await readFile(path, 'utf8').catch(() => null)
  const signs = found.version > 0 ? [] : await signsElsewhere(parts, local !== null ? path : null)
  const record =
    found.version > 0 ? found.body : JSON.stringify({ id: randomUUID(), since: isoTime(clock.now()) })
  if (local !== record) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFile(`${path}.tmp`, record, { mode: 0o600, flush: true })
    await rename(`${path}.tmp`, path)
  }
  // Last: as long as it is absent, the next start looks again.
  if (found.version === 0) await store.putDocument(DOCUMENT, 0, record)
  return signs
}

/** Whether the record is still in the store; throws what the store throws. */
export async function isRecorded(store: StateStore): Promise<boolean> {
  return (await store.getDocument(DOCUMENT)).version > 0
}

async function signsElsewhere(
  { config, opened, gateways }: InstallationParts,
  local: string | null,
): Promise<readonly string[]> {
  const signs = local === null ? [] : [`${local} names an installation`]
  if (await hasHistory(config, opened)) signs.push('the event log has records')
  const held = await Promise.all(
    gateways.map(async (gateway) => {
      const rules = await gateway.list(AbortSignal.timeout(ASK_MS)).catch(() => [])
      return rules.length === 0 ? [] : [`${gateway.name} holds ${rules.length} rules of ours`]
    }),
  )
  return [...signs, ...held.flat()]
}

async function hasHistory({ log }: Config, { kafka }: OpenedLog): Promise<boolean> {
  // Beside a local journal the file on this machine tells; `backfill` fills a journal before the first start.
  if (log.kind === 'embedded') return false
  const ranges = await kafka!.offsets(log.topic)
  return [...ranges.values()].some(({ high }) => high > 0)
}
