import { readFileSync } from 'node:fs'

/** Changes whenever the traffic or the meaning of a label changes; earlier figures are then measured again. */
export const BENCH_VERSION = 'bench-v1'

export const SIZES = ['small', 'full', 'light'] as const
export type Size = (typeof SIZES)[number]

/** D1 loud, D2 clear, D3 moderate, D4 subtle, D5 adversarial; computed from the parameters of the attack. */
export const LEVELS = ['D1', 'D2', 'D3', 'D4', 'D5'] as const
export type Level = (typeof LEVELS)[number]

/**
 * What truly changes in an episode. The words are those that a reason's `feature` begins with, before the
 * first `/` or `-`: `requests/1h` speaks of `requests`, `hour-of-week/...` of hours.
 */
export const FEATURES = [
  'requests',
  'records',
  'bytes',
  'objects',
  'routes',
  'errors',
  'writes',
  'hours',
  'network',
  'agent',
  'route',
  'object',
  'token',
  'sequence',
] as const
export type Feature = (typeof FEATURES)[number]

/**
 * `attack`: to be detected. `lookalike`: odd and harmless, must not alarm. `pair`: ordinary calls of an
 * attack's own victim, drawn from its own model, that repeat the attack's route counts as far as that model
 * gives them. `noise`: hostile traffic around an attack that is not the attack (near-misses and decoys of
 * sybils); an alarm about it is neither credited nor charged.
 */
export const EPISODE_KINDS = ['attack', 'lookalike', 'pair', 'noise'] as const
export type EpisodeKind = (typeof EPISODE_KINDS)[number]

/** First line. Times are epoch milliseconds. */
export interface HeaderLabel {
  readonly line: 'header'
  readonly version: typeof BENCH_VERSION
  readonly seed: number
  readonly size: Size
  /** Whether transport faults were put in; the events and their ids are the same either way. */
  readonly faults: boolean
  /** Member of each log line that names its tenant (`tenantField` of a source). */
  readonly tenantField: string
  readonly tenants: readonly string[]
  /** Start of the log. Learning lasts until `judgeFrom`. */
  readonly learnFrom: number
  readonly judgeFrom: number
  /** End of the judged period and of the log. */
  readonly judgeTo: number
  /** Kinds that this seed leaves out of tuning; their episodes have `heldOut: true`. */
  readonly heldOutAttacks: readonly string[]
  readonly heldOutLookalikes: readonly string[]
}

/** One caller. */
export interface PrincipalLabel {
  readonly line: 'principal'
  readonly tenant: string
  /** As Curfew names it: `consumer:<username>`, or `ip:<address>` for callers without identity. */
  readonly id: string
  readonly archetype: string
  /** `org:<name>`; null for addresses. */
  readonly org: string | null
  /** To be put on the allow list of the judged installation (the penetration test is). */
  readonly allowListed: boolean
  /** Events in the whole log, without repeated ones. */
  readonly events: number
}

/** Whom an episode is about. An `ip` entity and the `ip:` principal of the same address are the same answer. */
export interface EntityLabel {
  readonly type: 'principal' | 'ip' | 'org' | 'tenant'
  readonly id: string
}

/** One attack, look-alike, paired negative or stretch of hostile noise. Times are epoch milliseconds of event time. */
export interface EpisodeLabel {
  readonly line: 'episode'
  readonly kind: EpisodeKind
  /** Unique in the file. */
  readonly id: string
  /** Kind of attack or look-alike; of a pair that of its attack. */
  readonly type: string
  readonly tenant: string
  /** Victims; naming any of them is naming the right entity. At least one. */
  readonly entities: readonly EntityLabel[]
  /** First event, preparation included (a slow rise, poisoning of the learning period). */
  readonly from: number
  /** First event that does harm; equal to `from` where nothing is prepared. Records leave from here on. */
  readonly harmFrom: number
  /** Last event. */
  readonly to: number
  /** Null for all but attacks. */
  readonly level: Level | null
  /** True features: a top reason among them is a right reason. */
  readonly features: readonly Feature[]
  /** Records that the attack takes if nobody stops it; writes and deletions count one each. 0 for others. */
  readonly plannedRecords: number
  /** Events with a line of their own below; 0 for look-alikes, which are told by entity and time. */
  readonly events: number
  readonly heldOut: boolean
  /** The attack that a pair belongs to, or the attack that noise surrounds. */
  readonly of: string | null
}

/** Log ids of events that belong to an episode; several lines may name one episode. */
export interface EventsLabel {
  readonly line: 'events'
  readonly episode: string
  /** `request.id` of the log line, in event-time order. */
  readonly ids: readonly string[]
}

export type LabelLine = HeaderLabel | PrincipalLabel | EpisodeLabel | EventsLabel

/** A whole labels file. */
export interface Labels {
  readonly header: HeaderLabel
  readonly principals: readonly PrincipalLabel[]
  readonly episodes: readonly EpisodeLabel[]
  /** Episode id of every event of an attack, a pair or noise; an event belongs to at most one. */
  readonly episodeOf: ReadonlyMap<string, string>
}

/** A labels file that breaks its format; the message starts with the line number. */
export class LabelsError extends Error {}

/** Reads and checks a labels file. Throws {@link LabelsError} at the first line that breaks the format. */
export function readLabels(path: string): Labels {
  return parseLabels(readFileSync(path, 'utf8'))
}

/** {@link readLabels} of a text. */
export function parseLabels(text: string): Labels {
  const reader = new LabelsReader()
  const lines = text.split('\n')
  lines.forEach((line, i) => {
    if (line !== '' || i < lines.length - 1) reader.take(line, i + 1)
  })
  return reader.labels()
}

class LabelsReader {
  private header: HeaderLabel | null = null
  private readonly principals = new Map<string, PrincipalLabel>()
  private readonly episodes = new Map<string, EpisodeLabel>()
  private readonly episodeOf = new Map<string, string>()
  private readonly counts = new Map<string, number>()

  take(text: string, number: number): void {
    const fail = (what: string): never => {
      throw new LabelsError(`labels line ${number}: ${what}`)
    }
    const line = parsed(text, fail)
    if ((line.line === 'header') !== (number === 1)) fail('the header is the first line, once')
    if (line.line === 'header') this.header = checkedHeader(line, fail)
    else if (line.line === 'principal') this.takePrincipal(line, fail)
    else if (line.line === 'episode') this.takeEpisode(line, fail)
    else if (line.line === 'events') this.takeEvents(line, fail)
    else fail(`unknown kind of line ${JSON.stringify((line as { line?: unknown }).line)}`)
  }

  labels(): Labels {
    if (this.header === null) throw new LabelsError('labels line 1: no header')
    for (const e of this.episodes.values()) {
      const count = this.counts.get(e.id) ?? 0
      if (count !== e.events) throw new LabelsError(`labels: ${e.id} states ${e.events} events, has ${count}`)
      if (e.of !== null && !this.episodes.has(e.of)) throw new LabelsError(`labels: ${e.id} is of ${e.of}`)
    }
    return {
      header: this.header,
      principals: [...this.principals.values()],
      episodes: [...this.episodes.values()],
      episodeOf: this.episodeOf,
    }
  }

  private takePrincipal(p: PrincipalLabel, fail: Fail): void {
    const texts = [p.tenant, p.id, p.archetype]
    if (!texts.every(isText)) fail('tenant, id and archetype are texts')
    if (p.org !== null && !isText(p.org)) fail('org is a text or null')
    if (typeof p.allowListed !== 'boolean' || !isCount(p.events)) fail('allowListed or events')
    if (!this.header?.tenants.includes(p.tenant)) fail(`unknown tenant ${p.tenant}`)
    const key = JSON.stringify([p.tenant, p.id])
    if (this.principals.has(key)) fail(`${p.id} appears twice`)
    this.principals.set(key, p)
  }

  private takeEpisode(e: EpisodeLabel, fail: Fail): void {
    if (![e.id, e.type, e.tenant].every(isText)) fail('id, type and tenant are texts')
    if (!EPISODE_KINDS.includes(e.kind)) fail(`unknown kind ${e.kind}`)
    if (this.episodes.has(e.id)) fail(`${e.id} appears twice`)
    if (!this.header?.tenants.includes(e.tenant)) fail(`unknown tenant ${e.tenant}`)
    if (!Array.isArray(e.entities) || e.entities.length === 0) fail('no entity')
    if (!e.entities.every((x) => ENTITY_TYPES.includes(x?.type) && isText(x.id))) fail('entities')
    if (![e.from, e.harmFrom, e.to].every(isTime)) fail('from, harmFrom and to are epoch milliseconds')
    if (e.from > e.harmFrom || e.harmFrom > e.to) fail('from <= harmFrom <= to')
    if (e.kind === 'attack' ? !LEVELS.includes(e.level as Level) : e.level !== null) fail('level')
    if (!Array.isArray(e.features) || !e.features.every((f) => FEATURES.includes(f))) fail('features')
    if (!isCount(e.plannedRecords) || !isCount(e.events)) fail('plannedRecords or events')
    if (typeof e.heldOut !== 'boolean') fail('heldOut')
    if ((e.kind === 'pair' || e.kind === 'noise') !== isText(e.of)) fail('of')
    this.episodes.set(e.id, e)
  }

  private takeEvents(line: EventsLabel, fail: Fail): void {
    if (!this.episodes.has(line.episode)) fail(`events of the unknown episode ${line.episode}`)
    if (!Array.isArray(line.ids) || !line.ids.every(isText)) fail('ids are texts')
    for (const id of line.ids) {
      if (this.episodeOf.has(id)) fail(`event ${id} belongs to two episodes`)
      this.episodeOf.set(id, line.episode)
    }
    this.counts.set(line.episode, (this.counts.get(line.episode) ?? 0) + line.ids.length)
  }
}

type Fail = (what: string) => never

const ENTITY_TYPES: readonly string[] = ['principal', 'ip', 'org', 'tenant']

function parsed(text: string, fail: Fail): LabelLine {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as LabelLine
  } catch {
    return fail('not JSON')
  }
  return fail('not an object')
}

function checkedHeader(h: HeaderLabel, fail: Fail): HeaderLabel {
  if (h.version !== BENCH_VERSION) fail(`version ${h.version}, this reads ${BENCH_VERSION}`)
  if (!SIZES.includes(h.size) || !isCount(h.seed) || typeof h.faults !== 'boolean')
    fail('size, seed or faults')
  if (!isText(h.tenantField)) fail('tenantField')
  for (const list of [h.tenants, h.heldOutAttacks, h.heldOutLookalikes]) {
    if (!Array.isArray(list) || !list.every(isText)) fail('tenants and held-out kinds are lists of texts')
  }
  const times = [h.learnFrom, h.judgeFrom, h.judgeTo]
  if (!times.every(isTime) || h.learnFrom >= h.judgeFrom || h.judgeFrom >= h.judgeTo) fail('periods')
  return h
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isTime(value: unknown): value is number {
  return isCount(value) && value > 0
}
