import { CurfewError } from '../../core/errors.ts'
import { isRecord, isTexts } from './answer-shape.ts'
import type { KongClient, KongPlugin, KongPluginBody, KongPlugins } from './kong-client.ts'
import type { TextFile } from './kong-fragment-file.ts'
import { OWNER_TAG } from './kong-marks.ts'

export interface KongFragmentOptions {
  readonly name: string
  /** A declarative file of Kong that is Curfew's alone. */
  readonly file: TextFile
  /** Admin API of a node without a database, which is only read. */
  readonly node: KongClient
}

/** Kong leaves this member of a declarative file to its author. */
const MARK = 'curfew: written by Curfew, which refuses to overwrite anything else'

/**
 * Our plugins as a declarative file, for a Kong without a database: whoever builds its configuration takes the file
 * along and loads the whole. What is in the file is what should hold; what the node still has of ours and the file has
 * not is listed as no longer as it should be, until it is loaded anew.
 */
export class KongFragment implements KongPlugins {
  private readonly options: KongFragmentOptions

  constructor(options: KongFragmentOptions) {
    this.options = options
  }

  /** With our tag: what the file has, and what is left of ours at the node. Without: what plans are made of. */
  async plugins(tag: string | null, stop: AbortSignal): Promise<readonly KongPlugin[]> {
    const loaded = await this.options.node.plugins(tag, stop)
    const ours = await this.read()
    if (tag === null) return [...loaded.filter((plugin) => !isOurs(plugin)), ...ours]
    const known = new Set(ours.map(({ id }) => id))
    const left = loaded.filter((plugin) => isOurs(plugin) && !known.has(plugin.id))
    return [...ours, ...left.map((plugin) => ({ ...plugin, enabled: false }))]
  }

  async pluginById(id: string): Promise<KongPlugin | null> {
    return (await this.read()).find((plugin) => plugin.id === id) ?? null
  }

  async upsertPlugin(id: string, body: KongPluginBody, stop: AbortSignal): Promise<void> {
    const plugin = pluginOf({ ...body, id })
    if (plugin === null || !isOurs(plugin)) throw this.conflict('a plugin without our tag was to be written')
    const secret = secretIn(plugin.config)
    if (secret !== null) {
      const what = `the limit that it would replace has ${secret} in the clear, which does not belong into a file`
      const advice = 'give Kong a reference to a vault there, such as {vault://env/redis-password}'
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.options.name}: ${what}; ${advice}`)
    }
    await this.change((all) => [...all.filter((other) => other.id !== id), plugin], stop)
  }

  async patchPlugin(id: string): Promise<boolean> {
    const what = `plugin ${JSON.stringify(id.slice(0, 80))} stands where ours would have to, and is not in our file`
    throw this.conflict(`${what}: change it where it is declared`)
  }

  async deletePlugin(id: string, stop: AbortSignal): Promise<void> {
    await this.change((all) => all.filter((plugin) => plugin.id !== id), stop)
  }

  /** A plugin that is out of the file is in force until whoever loads the file has done so. */
  async assertDropped(ids: readonly string[], stop: AbortSignal): Promise<void> {
    if (ids.length === 0) return
    const loaded = await this.options.node.plugins(OWNER_TAG, stop)
    const left = loaded.filter(({ id }) => ids.includes(id))
    if (left.length > 0) throw this.unreachable('no longer has it, but Kong has not loaded that yet')
  }

  async node(): Promise<{ readonly database: string | null; readonly role: string | null }> {
    return { database: 'file', role: null }
  }

  async status(stop: AbortSignal): Promise<void> {
    await this.options.node.status(stop)
    await this.read()
  }

  private async change(
    edit: (all: readonly KongPlugin[]) => readonly KongPlugin[],
    stop: AbortSignal,
  ): Promise<void> {
    await this.options.file.change((text) => declarative(edit(this.pluginsIn(text))), stop)
  }

  private async read(): Promise<readonly KongPlugin[]> {
    return this.pluginsIn(await this.options.file.read())
  }

  /** The plugins in the file; none when there is no file yet. Throws for a file that is not ours alone. */
  private pluginsIn(text: string | null): readonly KongPlugin[] {
    if (text === null) return []
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch (cause) {
      throw this.conflict('the file is not the JSON that Curfew writes', cause)
    }
    if (!isRecord(parsed) || parsed._comment !== MARK)
      throw this.conflict('the file was not written by Curfew')
    const { _format_version, _comment, plugins = [], ...foreign } = parsed
    if (Object.keys(foreign).length > 0 || !Array.isArray(plugins))
      throw this.conflict('the file has objects of others in it')
    return plugins.map((row: unknown) => {
      const plugin = isRecord(row) ? pluginOf(row) : null
      if (plugin === null || !isOurs(plugin)) throw this.conflict('the file has a plugin of others in it')
      return plugin
    })
  }

  private conflict(what: string, cause?: unknown): CurfewError {
    const where = `${this.options.name}: ${JSON.stringify(this.options.file.path)}`
    return new CurfewError('GATEWAY_CONFLICT', `${where}: ${what}`, { cause })
  }

  private unreachable(what: string): CurfewError {
    const message = `${this.options.name}: ${JSON.stringify(this.options.file.path)} ${what}`
    return new CurfewError('GATEWAY_UNREACHABLE', message, { retriable: true })
  }
}

function isOurs({ tags }: KongPlugin): boolean {
  return tags?.includes(OWNER_TAG) ?? false
}

/** Members of `redis`, and before Kong 3.8 fields beside it, whose values open somebody's Redis. */
const SECRET_FIELDS = /^(redis_)?(sentinel_)?password$/

/** The first secret in a configuration that is no reference to a vault; null where there is none. */
function secretIn(config: Readonly<Record<string, unknown>>, prefix = ''): string | null {
  for (const [field, value] of Object.entries(config)) {
    if (isRecord(value)) {
      const nested = secretIn(value, `${prefix}${field}.`)
      if (nested !== null) return nested
    }
    if (!SECRET_FIELDS.test(field) || value === null || value === '') continue
    if (typeof value !== 'string' || !value.startsWith('{vault://')) return `${prefix}${field}`
  }
  return null
}

/** The text of the file: references by id, in an order that does not depend on who came first. */
function declarative(plugins: readonly KongPlugin[]): string {
  const rows = [...plugins]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ consumer, route, service, consumerGroup: _group, ...rest }) => ({
      ...rest,
      consumer,
      ...(route === null ? {} : { route }),
      ...(service === null ? {} : { service }),
    }))
  return `${JSON.stringify({ _format_version: '3.0', _comment: MARK, plugins: rows }, null, 2)}\n`
}

/** A plugin of the file, or of a write; null for what is none. */
function pluginOf(row: Readonly<Record<string, unknown>>): KongPlugin | null {
  const { id, name, enabled = true, config, tags } = row
  const reference = (field: string): string | null => {
    const value = row[field]
    const text = isRecord(value) ? value.id : value
    return typeof text === 'string' ? text : null
  }
  if (typeof id !== 'string' || typeof name !== 'string' || typeof enabled !== 'boolean') return null
  if (!isRecord(config) || !isTexts(tags)) return null
  const [consumer, route, service] = [reference('consumer'), reference('route'), reference('service')]
  return { id, name, enabled, consumer, consumerGroup: null, route, service, config, tags }
}
