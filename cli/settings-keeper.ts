import { dueRestoration } from '../admin/loosening-expiry.ts'
import type { StateStore, StoredDocument } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { type Clock, isoTime } from '../core/time.ts'
import type { SettingsVersion } from '../engine/control-plane.ts'
import { encodeEffect } from '../engine/control-records.ts'
import { CLOCK_KEY, storedSettings } from '../engine/partition-state.ts'
import type { EngineSettings } from '../engine/settings.ts'
import type { AuditLog } from './audit-log.ts'
import { eventPartitions } from './event-partitions.ts'
import { type ConfiguredSettings, reconfigured } from './settings-origin.ts'

export type NextSettings = Omit<EngineSettings, 'version'>

/** The settings of all processes: one document, changed by compare-and-set, with a history. */
export interface SettingsKeeper {
  /** As last read or written by this process. */
  current(): EngineSettings
  /** Reads what other processes may have changed. */
  refresh(): Promise<EngineSettings>
  /**
   * Makes `next` current under `expectedVersion + 1` and asks every partition to take it; null when the
   * current version is not the expected one. The caller audits before.
   */
  put(
    next: NextSettings,
    expectedVersion: number,
    actor: string,
    reason: string,
    expires: string | null,
  ): Promise<EngineSettings | null>
  /** Newest first, the current version included; at most {@link MAX_HISTORY}. */
  history(limit: number): Promise<readonly SettingsVersion[]>
  /** One version of the history, or null. */
  version(version: number): Promise<EngineSettings | null>
  /**
   * Drops the versions up to the newest of which a statement holds; the current one always stays. They can be
   * returned to no more.
   */
  forgetHistory(holds: (version: SettingsVersion) => boolean): Promise<void>
  /**
   * Puts back what loosenings that ended at or before `now` (epoch ms) had changed, and asks partitions that
   * lag behind to take the current version. Safe at any time, in any process. Returns the fields put back.
   */
  expireDue(now: number): Promise<readonly string[]>
}

export interface SettingsKeeperOptions {
  readonly store: StateStore
  /** What the configuration file says. */
  readonly initial: ConfiguredSettings
  readonly clock: Clock
  /** Where changes that nobody asked for through the API are put on record: the file's, and ended loosenings. */
  readonly audit?: Pick<AuditLog, 'append'>
}

/** Versions that are looked back at and can be returned to. */
export const MAX_HISTORY = 500
const DOCUMENT = 'settings'
const HISTORY_LOG = 'settings-history'
const HISTORY_PAGE = 50
const MAX_ATTEMPTS = 20
const CONFIGURATION = 'configuration'
const SELF = 'curfew'

interface Stored extends SettingsVersion {
  readonly fromConfig: ConfiguredSettings
}

/**
 * Opens the settings. The first start takes the configuration; a later one takes what was changed in the
 * file since, value by value, and leaves what was tuned otherwise as it is.
 */
export async function openSettingsKeeper(options: SettingsKeeperOptions): Promise<SettingsKeeper> {
  const keeper = new DocumentKeeper(options)
  await keeper.adoptConfiguration()
  return keeper
}

class DocumentKeeper implements SettingsKeeper {
  private readonly options: SettingsKeeperOptions
  private stored: Stored | null = null
  /** The newest versions, oldest first. */
  private versions: SettingsVersion[] = []
  private historySeq = 0
  /** Version that this process last asked each partition to take. */
  private readonly asked = new Map<number, number>()

  constructor(options: SettingsKeeperOptions) {
    this.options = options
  }

  current(): EngineSettings {
    return this.now().settings
  }

  private now(): Stored {
    if (this.stored === null) throw new Error('the settings were not read yet')
    return this.stored
  }

  async refresh(): Promise<EngineSettings> {
    this.take(await this.options.store.getDocument(DOCUMENT))
    return this.current()
  }

  private take(document: StoredDocument): void {
    if (document.version > (this.stored?.settings.version ?? 0))
      this.stored = JSON.parse(document.body) as Stored
  }

  async adoptConfiguration(): Promise<void> {
    const { store, initial, audit } = this.options
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      this.take(await store.getDocument(DOCUMENT))
      const next =
        this.stored === null
          ? initial
          : reconfigured(this.stored.settings, this.stored.fromConfig, initial, this.options.clock.now())
      if (next === null) break
      const reason = this.stored === null ? 'first start' : 'the configuration file was changed'
      const version = (this.stored?.settings.version ?? 0) + 1
      await audit?.append({
        actor: CONFIGURATION,
        action: 'settings.configure',
        target: `settings/${version}`,
        reason,
      })
      const made = { settings: { ...next, version }, actor: CONFIGURATION, reason, expires: null }
      if ((await this.write({ ...made, time: this.time(), fromConfig: initial })) !== null) break
    }
    if (this.stored === null)
      throw new CurfewError('STORE_CONFLICT', 'the settings change faster than they can be read', {
        retriable: true,
      })
    await this.readHistory()
    await this.askLagging()
  }

  async put(
    next: NextSettings,
    expectedVersion: number,
    actor: string,
    reason: string,
    expires: string | null,
  ): Promise<EngineSettings | null> {
    const settings = { ...next, version: expectedVersion + 1 }
    await this.refresh()
    if (this.current().version !== expectedVersion) return null
    await this.noteCurrent()
    const written = await this.write({
      settings,
      time: this.time(),
      actor,
      reason,
      expires,
      fromConfig: this.now().fromConfig,
    })
    if (written !== null) await this.ask(await eventPartitions(this.options.store))
    return written
  }

  /** The document first: it decides. A history line that a crash kept from being written is added later. */
  private async write(next: Stored): Promise<EngineSettings | null> {
    const { store } = this.options
    const version = await store.putDocument(DOCUMENT, next.settings.version - 1, JSON.stringify(next))
    if (version === null) return null
    this.stored = next
    await this.noteCurrent()
    return next.settings
  }

  private async noteCurrent(): Promise<void> {
    await this.readHistory()
    const { settings, time, actor, reason, expires } = this.now()
    if (this.versions.some((v) => v.settings.version === settings.version)) return
    const made: SettingsVersion = { settings, time, actor, reason, expires }
    const seq = await this.options.store.appendLine(HISTORY_LOG, JSON.stringify(made))
    if (seq % HISTORY_PAGE === 0) await this.options.store.trimLines(HISTORY_LOG, seq - 2 * MAX_HISTORY)
  }

  private async readHistory(): Promise<void> {
    for (;;) {
      const lines = await this.options.store.readLines(HISTORY_LOG, this.historySeq, HISTORY_PAGE)
      if (lines.length === 0) return
      for (const { seq, body } of lines) {
        const made = JSON.parse(body) as SettingsVersion
        this.historySeq = seq
        // Two processes may both have added a line that was missing.
        if (this.versions.every((v) => v.settings.version !== made.settings.version)) this.versions.push(made)
      }
      this.versions.sort((a, b) => a.settings.version - b.settings.version)
      this.versions.splice(0, this.versions.length - MAX_HISTORY)
    }
  }

  async history(limit: number): Promise<readonly SettingsVersion[]> {
    await this.refresh()
    await this.noteCurrent()
    await this.readHistory()
    return this.versions.toReversed().slice(0, limit)
  }

  async forgetHistory(holds: (version: SettingsVersion) => boolean): Promise<void> {
    const { store } = this.options
    let [last, version] = [0, 0]
    for (let after = 0; ; ) {
      const lines = await store.readLines(HISTORY_LOG, after, HISTORY_PAGE)
      if (lines.length === 0) break
      for (const { seq, body } of lines) {
        after = seq
        const made = JSON.parse(body) as SettingsVersion
        if (!holds(made)) continue
        last = seq
        version = Math.max(version, made.settings.version)
      }
    }
    if (last === 0) return
    await store.trimLines(HISTORY_LOG, last)
    this.versions = this.versions.filter(({ settings }) => settings.version > version)
  }

  async version(version: number): Promise<EngineSettings | null> {
    const history = await this.history(MAX_HISTORY)
    return history.find((made) => made.settings.version === version)?.settings ?? null
  }

  async expireDue(now: number): Promise<readonly string[]> {
    const restored: string[] = []
    for (let round = 0; round < MAX_ATTEMPTS; round++) {
      const due = dueRestoration(await this.history(MAX_HISTORY), now)
      if (due === null) break
      const { version } = this.current()
      const reason = `a temporary loosening ended: ${due.fields.join(', ')}`
      await this.options.audit?.append({
        actor: SELF,
        action: 'settings.expire',
        target: `settings/${version + 1}`,
        reason,
      })
      // A change by somebody else in between is judged at the next call.
      if ((await this.put(due.next, version, SELF, reason, due.expires)) === null) break
      restored.push(...due.fields)
    }
    await this.askLagging()
    return restored
  }

  /** Asks partitions whose committed state has older settings, each once per version. */
  private async askLagging(): Promise<void> {
    const { store } = this.options
    const { version } = this.current()
    const lagging: number[] = []
    for (const partition of await eventPartitions(store)) {
      if (this.asked.get(partition) === version) continue
      const [bytes] = await store.read(partition, [CLOCK_KEY])
      if (bytes === undefined || storedSettings(bytes).version < version) lagging.push(partition)
      else this.asked.set(partition, version)
    }
    await this.ask(lagging)
  }

  private async ask(partitions: readonly number[]): Promise<void> {
    const settings = this.current()
    const body = encodeEffect({ kind: 'settings', settings })
    for (const partition of partitions) {
      await this.options.store.request(partition, {
        id: `settings-${settings.version}`,
        kind: 'settings',
        body,
      })
      this.asked.set(partition, settings.version)
    }
  }

  private time(): string {
    return isoTime(this.options.clock.now())
  }
}
