import { type Static, type TProperties, type TSchema, Type } from '@sinclair/typebox'

/** Longest name or id that a path or query may carry. */
export const MAX_ID_LENGTH = 512
/** Most entries that one page holds. */
export const MAX_PAGE = 500

const INVISIBLE = '\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}'
const ISO_TIME = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,3})?Z$'

/** One of a closed set of words. */
export function words<const T extends readonly string[]>(values: T, description?: string) {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...(description && { description }) })
}

/** An object that refuses every field it does not name. */
export function strict<T extends TProperties>(properties: T) {
  return Type.Object(properties, { additionalProperties: false })
}

const nullable = <T extends TSchema>(schema: T) =>
  Type.Unsafe<Static<T> | null>({ anyOf: [schema, { type: 'null' }] })

/** A name or id: short, and nothing in it that does not show. */
export const Name = Type.String({
  minLength: 1,
  maxLength: MAX_ID_LENGTH,
  pattern: `^[^${INVISIBLE}]+$`,
  description: 'text without control characters',
})

/** Why a change is made; kept in the audit. */
export const ReasonText = Type.String({
  minLength: 1,
  maxLength: 500,
  pattern: `^[^${INVISIBLE}]*[^${INVISIBLE}\\s][^${INVISIBLE}]*$`,
  description: 'one line of text without control characters',
})

/** A moment in UTC as people and programs write it. */
export const IsoTime = Type.String({
  maxLength: 24,
  pattern: ISO_TIME,
  description: 'a time in UTC such as 2026-01-31T12:00:00Z',
})

export const PagingQuery = {
  tenant: Type.Optional(Name),
  limit: Type.Integer({ minimum: 1, maximum: MAX_PAGE, default: 50 }),
  cursor: Type.Optional(Name),
}

export const IdParams = strict({ id: Name })

export const ProblemSchema = Type.Object(
  {
    error: Type.Object({ code: Type.String(), message: Type.String(), field: Type.Optional(Type.String()) }),
  },
  { description: 'What was wrong; `code` is stable, `field` names the input at fault.' },
)

/** One page of a list. */
export function pageOf<T extends TSchema>(item: T) {
  return Type.Object({ items: Type.Array(item), nextCursor: nullable(Type.String()) })
}

const Pair = Type.Array(Type.Number(), { minItems: 2, maxItems: 2 })

export const PrincipalSchema = Type.Object({
  tenant: Type.String(),
  entity: Type.String(),
  stableId: Type.String(),
  state: words(['LEARNING', 'PROVISIONAL', 'MATURE', 'STALE']),
  events: Type.Number(),
  firstSeen: Type.String(),
  lastSeen: Type.String(),
  normal: Type.Array(
    Type.Object({
      feature: Type.String(),
      window: words(['1m', '10m', '1h', '1d']),
      expected: Type.Number(),
      range: Pair,
      unit: Type.String(),
    }),
  ),
  hourOfWeek: Type.Array(Type.Number(), { description: '168 shares of activity, UTC, Monday 00:00 first' }),
})

const EntitySchema = Type.Object({ type: Type.String(), id: Type.String() })

const ReasonSchema = Type.Object({
  detector: Type.String(),
  feature: Type.String(),
  observed: Type.Number(),
  expected: Type.Number(),
  range: Pair,
  unit: Type.String(),
  surprise: Type.Number({ description: '-log10 of the tail probability of this feature' }),
  weight: Type.Number({ description: 'share of the combined surprise, 0..1' }),
  comparedWith: Type.String(),
})

const AlertSchema = Type.Object({
  id: Type.String(),
  incident: Type.String(),
  time: Type.String(),
  tenant: Type.String(),
  transition: words(['opened', 'escalated', 'resolved']),
  entity: EntitySchema,
  detectors: Type.Array(Type.String()),
  severity: words(['low', 'medium', 'high', 'critical']),
  score: Type.Number(),
  surprise: Type.Number(),
  summary: Type.String(),
  reasons: Type.Array(ReasonSchema),
  owasp: Type.Array(Type.String()),
  reminder: Type.Optional(Type.Boolean({ description: 'nothing got worse, but nobody acted' })),
  firstEventTime: Type.String(),
  lastEventTime: Type.String(),
  events: Type.Number(),
})

export const DECISION_STATUSES = [
  'observed',
  'awaiting-approval',
  'withheld',
  'pending',
  'in-force',
  'failed',
  'expired',
  'released',
  'superseded',
] as const

export const OnTimeoutSchema = words(['drop', 'act', 'extend'])

export const DecisionSchema = Type.Object({
  decision: Type.Object({
    id: Type.String(),
    time: Type.String(),
    tenant: Type.String(),
    entity: EntitySchema,
    action: words(['throttle', 'block', 'revoke-token', 'revoke-credential', 'release']),
    scope: Type.Object({ kind: Type.String() }, { additionalProperties: true }),
    mode: words(['observe', 'approve', 'enforce']),
    holdSeconds: Type.Number(),
    limit: nullable(Type.Object({ requests: Type.Number(), windowSeconds: Type.Number() })),
    wider: Type.Optional(
      Type.Object(
        {
          action: words(['throttle', 'block', 'revoke-token', 'revoke-credential']),
          scope: Type.Object({ kind: Type.String() }, { additionalProperties: true }),
          limit: nullable(Type.Object({ requests: Type.Number(), windowSeconds: Type.Number() })),
        },
        { description: 'what gateways hold that cannot tell the networks of a caller apart' },
      ),
    ),
    incident: Type.String(),
    reason: Type.String(),
    principal: Type.Object({
      kind: Type.String(),
      id: Type.String(),
      label: Type.String(),
      verified: Type.Boolean(),
    }),
    gateway: Type.Object({ kind: Type.String(), id: Type.String() }),
    tokenExp: nullable(Type.Number()),
    evidenceAt: Type.Number(),
    groups: Type.Optional(Type.Array(Type.String())),
    blast: Type.Optional(
      Type.Object(
        {
          subjects: Type.Number(),
          tokens: Type.Number(),
          addresses: Type.Number(),
          callsPerDay: nullable(Type.Number()),
          share: nullable(Type.Number()),
        },
        {
          description:
            'who and what it reaches: subjects, tokens and addresses of the surprising calls (8: at least 8), and the calls of the caller on a busy day, alone and as a share of those of the gateway',
        },
      ),
    ),
    approval: Type.Optional(
      Type.Object(
        { by: Type.String(), onTimeout: OnTimeoutSchema, because: nullable(Type.String()) },
        { description: 'as it was asked for; `approval` beside `decision` says how it stands now' },
      ),
    ),
  }),
  status: words(DECISION_STATUSES),
  statusReason: nullable(Type.String()),
  issuedAt: nullable(Type.String()),
  until: nullable(Type.String()),
  effectiveBy: nullable(Type.String()),
  approval: nullable(
    Type.Object(
      { by: Type.String(), onTimeout: OnTimeoutSchema },
      {
        description:
          'until when it waits for a person, in event time, and what happens then; null for one that waits for nobody',
      },
    ),
  ),
  proof: nullable(
    Type.Object(
      { state: words(['held', 'leaking', 'untested']), at: nullable(Type.String()) },
      { description: 'what the traffic has shown, and since when; null where nothing acts' },
    ),
  ),
  aliases: Type.Array(
    Type.Object({
      gateway: Type.String(),
      principal: Type.String(),
      state: words(['held', 'failed', 'unsupported', 'pending']),
    }),
    {
      description:
        'gateways that know the caller by another name than the decided one, and how the decision stands there under that name; empty for one that does not act',
    },
  ),
  receipts: Type.Array(
    Type.Object({
      time: Type.String(),
      gateway: Type.String(),
      operation: words(['put', 'remove', 'list']),
      outcome: words(['done', 'failed', 'refused']),
      detail: Type.String(),
    }),
  ),
})

export const IncidentSchema = Type.Object({
  id: Type.String(),
  tenant: Type.String(),
  entity: Type.String(),
  state: words(['open', 'resolved']),
  severity: words(['low', 'medium', 'high', 'critical']),
  stale: Type.Boolean({ description: 'open for too long without enforcement: its principal is STALE' }),
  openedAt: Type.String(),
  resolvedAt: nullable(Type.String()),
  transitions: Type.Array(AlertSchema),
  decisions: Type.Array(DecisionSchema),
})

/** What is seen and what is not. */
const nullableCount = () => Type.Union([Type.Number(), Type.Null()])

export const EnvelopesSchema = Type.Object({
  mode: words(['off', 'observe', 'enforce']),
  callers: Type.Integer({ description: 'Callers that have an envelope' }),
  items: Type.Array(
    Type.Object({
      id: Type.String(),
      tenant: Type.String(),
      entity: Type.String(),
      limits: Type.Object({
        inFlight: Type.Number(),
        requestsPer10s: Type.Number(),
        recordsPer10min: nullableCount(),
        bytesPer10min: nullableCount(),
      }),
      reason: Type.String(),
      since: Type.String({ description: 'Since when these limits' }),
      exceeded: Type.Union([
        Type.Object({
          limit: words(['inFlight', 'requestsPer10s', 'recordsPer10min', 'bytesPer10min']),
          observed: Type.Number(),
          at: Type.String({ description: 'Begin of the 10 minutes' }),
        }),
        Type.Null(),
      ]),
      refusedByEndpoint: Type.Integer({
        description: 'Calls that the decision endpoint refused for it, or in observe mode would have',
      }),
      gateways: Type.Array(
        Type.Object({
          name: Type.String(),
          held: Type.Boolean(),
          detail: Type.Union([Type.String(), Type.Null()]),
        }),
      ),
    }),
  ),
})

export const CoverageSchema = Type.Object({
  judgedTo: nullable(Type.String()),
  feeds: Type.Array(
    Type.Object({
      source: Type.String(),
      gateway: nullable(Type.String()),
      state: words(['learning', 'complete', 'missing']),
      missing: Type.Array(Type.String()),
      lastLine: nullable(Type.String()),
      linesIn5Minutes: Type.Number(),
      usualPerHour: nullable(Type.Number()),
      knownHours: Type.Number({ description: 'hours of the week observed at least once, of 168' }),
    }),
  ),
  incidents: Type.Array(
    Type.Object({
      id: Type.String(),
      tenant: Type.String(),
      source: nullable(Type.String()),
      gateway: nullable(Type.String()),
      aspect: Type.String(),
      kind: words(['silent', 'low', 'uncounted', 'field', 'blind', 'lag']),
      severity: words(['low', 'medium', 'high', 'critical']),
      state: words(['open', 'resolved']),
      openedAt: Type.String(),
      since: Type.String(),
      resolvedAt: nullable(Type.String()),
      summary: Type.String(),
    }),
  ),
})

export const ForgettingSchema = Type.Object({
  request: Type.String(),
  judged: Type.Boolean({ description: 'the engine has forgotten it; all else follows by itself' }),
  incidents: Type.Number({ description: 'incidents that went with it' }),
})

export const AuditSchema = Type.Object({
  seq: Type.Number(),
  time: Type.String(),
  actor: Type.String(),
  action: Type.String(),
  target: Type.String(),
  reason: Type.String({ description: 'as it is stored and hashed; about a principal it is sealed' }),
  said: Type.Optional(
    nullable(
      Type.String({ description: 'what a sealed reason says; null once the principal was forgotten' }),
    ),
  ),
  hash: Type.String(),
})

export const NullableTime = nullable(Type.String())
