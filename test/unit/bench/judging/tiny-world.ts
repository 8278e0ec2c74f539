import { CallBook } from '../../../../bench/judging/call-book.ts'
import { DAY_MS } from '../../../../bench/judging/rules.ts'
import { ScoreBook } from '../../../../bench/judging/score-book.ts'
import type { BudgetRecord, SeedRecord } from '../../../../bench/judging/seed-record.ts'
import { Truth } from '../../../../bench/judging/truth.ts'
import type { EpisodeLabel, HeaderLabel, Labels, PrincipalLabel } from '../../../../bench/traffic/labels.ts'
import type { AccessEvent, Token } from '../../../../core/event.ts'
import { eventTime } from '../../../../core/time.ts'

export const LEARN = Date.UTC(2026, 0, 1)
export const JUDGE = LEARN + 14 * DAY_MS
export const HOUR = 3_600_000

const HEADER: HeaderLabel = {
  line: 'header',
  version: 'bench-v1',
  seed: 101,
  size: 'small',
  faults: false,
  tenantField: 'workspace_name',
  tenants: ['acme'],
  learnFrom: LEARN,
  judgeFrom: JUDGE,
  judgeTo: LEARN + 28 * DAY_MS,
  heldOutAttacks: [],
  heldOutLookalikes: [],
}

/** A call in the log of the tiny world; `hours` from the start of the judged period. */
export interface TinyCall {
  readonly id: string
  readonly who: string
  readonly hours: number
  readonly score?: number
  readonly records?: number | null
  readonly method?: string
  readonly status?: number
  readonly clientIp?: string
  readonly token?: Token
}

export function principal(name: string, more: Partial<PrincipalLabel> = {}): PrincipalLabel {
  const id = name.startsWith('ip:') ? name : `consumer:${name}`
  return {
    line: 'principal',
    tenant: 'acme',
    id,
    archetype: 'human',
    org: null,
    allowListed: false,
    events: 0,
    ...more,
  }
}

/** An episode with its calls' ids; times in hours from the start of the judged period. */
export function episode(
  id: string,
  who: string,
  hours: readonly [from: number, to: number],
  more: Partial<EpisodeLabel> = {},
): EpisodeLabel {
  const from = JUDGE + hours[0] * HOUR
  return {
    line: 'episode',
    kind: 'attack',
    id,
    type: 'export',
    tenant: 'acme',
    entities: [{ type: 'principal', id: `consumer:${who}` }],
    from,
    harmFrom: from,
    to: JUDGE + hours[1] * HOUR,
    level: more.kind === undefined || more.kind === 'attack' ? 'D2' : null,
    features: ['records'],
    plannedRecords: 0,
    events: 0,
    heldOut: false,
    of: null,
    ...more,
  }
}

export function labels(
  principals: readonly PrincipalLabel[],
  episodes: readonly (readonly [EpisodeLabel, readonly string[]])[],
): Labels {
  return {
    header: HEADER,
    principals,
    episodes: episodes.map(([e]) => e),
    episodeOf: new Map(episodes.flatMap(([e, ids]) => ids.map((id) => [id, e.id] as const))),
  }
}

export function accessEvent(call: TinyCall): AccessEvent {
  const isIp = call.who.startsWith('ip:')
  const label = isIp ? call.who.slice(3) : call.who
  return {
    id: call.id,
    time: eventTime(JUDGE + call.hours * HOUR),
    receivedAt: Number.NaN,
    tenant: 'acme',
    principal: { kind: isIp ? 'ip' : 'consumer', id: label, label, verified: !isIp },
    parents: [],
    token: call.token ?? null,
    credential: null,
    clientIp: call.clientIp ?? null,
    userAgent: null,
    method: call.method ?? 'GET',
    route: '/v1/orders',
    path: '/v1/orders',
    objectIds: [],
    status: call.status ?? 200,
    latencyMs: 1,
    requestBytes: 1,
    responseBytes: 1,
    records: call.records === undefined ? 1 : call.records,
    recordsFrom: 'header',
    refusedBy: null,
    gateway: { kind: 'kong', id: 'kong' },
    source: { topic: 'line', partition: 0, offset: 0, index: 0 },
  }
}

/** Two calls a week and two weeks before the judged period: the caller is past its warm-up. */
export function settled(who: string): readonly TinyCall[] {
  return [-336, -24].map((hours) => ({ id: `${who}${hours}`, who, hours }))
}

/** The record of a log that one scorer has scored, as the harness would leave it. */
export function recordOf(
  world: Labels,
  calls: readonly TinyCall[],
  budgets: readonly BudgetRecord[] = [],
): SeedRecord {
  const truth = new Truth(world)
  const book = new CallBook(truth)
  const scores = new ScoreBook(truth, 1)
  for (const call of calls) scores.add(book.next(accessEvent(call)), [call.score ?? null])
  return {
    key: 'tiny',
    header: truth.header,
    logEvents: book.events,
    scorers: ['curfew'],
    callers: truth.callers,
    days: book.days,
    dayBits: book.dayBits(),
    settled: scores.settled,
    warmUp: scores.warmUp,
    attacks: scores.attacks(),
    harmless: truth.episodes.filter((e) => e.kind === 'lookalike' || e.kind === 'pair'),
    pairScores: scores.pairs,
    budgets,
    scoreShares: [],
  }
}
