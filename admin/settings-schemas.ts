import { type Static, Type } from '@sinclair/typebox'
import { SETTING_SPECS, type SettingName } from '../engine/settings.ts'
import { IsoTime, Name, NullableTime, OnTimeoutSchema, ReasonText, strict, words } from './schemas.ts'

const MAX_MODE_RULES = 100
const MAX_ALLOW_RULES = 500
const MAX_WINDOWS = 500

/** Every threshold, with the bounds of its specification. */
export const ValuesSchema = strict(
  Object.fromEntries(
    Object.entries(SETTING_SPECS).map(([name, spec]) => [
      name,
      Type.Number({
        minimum: spec.min,
        maximum: spec.max,
        description: `${spec.description} Unit: ${spec.unit}. Default: ${spec.default}.`,
      }),
    ]),
  ) as Record<SettingName, ReturnType<typeof Type.Number>>,
)

const ModeRuleSchema = strict({
  principal: Type.Optional(Name),
  group: Type.Optional(Name),
  gateway: Type.Optional(Name),
  detector: Type.Optional(Name),
  action: Type.Optional(words(['throttle', 'block', 'revoke-token', 'revoke-credential'])),
  mode: words(['observe', 'approve', 'enforce']),
  onTimeout: Type.Optional(OnTimeoutSchema),
})

const AllowRuleSchema = strict({
  tenant: Name,
  entity: Name,
  reason: ReasonText,
  expires: Type.Unsafe<string | null>({
    anyOf: [IsoTime, { type: 'null' }],
    description: 'at most 90 days ahead; null only for entries of the configuration file',
  }),
})

const MaintenanceSchema = strict({
  tenant: Name,
  entity: Type.Optional(Name),
  group: Type.Optional(Name),
  from: IsoTime,
  to: IsoTime,
  reason: ReasonText,
})

const Maintenance = Type.Optional(
  Type.Array(MaintenanceSchema, {
    maxItems: MAX_WINDOWS,
    description:
      'planned work of one `entity` or one `group`, at most 90 days ahead: nothing is newly enforced, incidents count one severity less; none when absent',
  }),
)

/** What a client sends as the settings it wants: all of them, without the version. */
export const NextSettings = strict({
  values: ValuesSchema,
  modes: Type.Array(ModeRuleSchema, { maxItems: MAX_MODE_RULES }),
  allow: Type.Array(AllowRuleSchema, { maxItems: MAX_ALLOW_RULES }),
  maintenance: Maintenance,
})

export const SettingsSchema = Type.Object({
  version: Type.Integer(),
  values: ValuesSchema,
  modes: Type.Array(ModeRuleSchema),
  allow: Type.Array(AllowRuleSchema),
  maintenance: Maintenance,
})

export const PreviewBody = strict({ settings: NextSettings })

export const PutBody = strict({
  settings: NextSettings,
  expectedVersion: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  reason: ReasonText,
  expires: Type.Optional(IsoTime),
})

export const RevertBody = strict({
  version: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  reason: ReasonText,
  expires: Type.Optional(IsoTime),
})

const Direction = words(['tighten', 'loosen', 'neutral'])

const ChangeSchema = Type.Object({
  change: Direction,
  fields: Type.Array(
    Type.Object({ field: Type.String(), from: Type.Unknown(), to: Type.Unknown(), change: Direction }),
  ),
})

export const ChangedSettings = Type.Object({ settings: SettingsSchema, change: ChangeSchema })

export const PreviewAnswer = Type.Object({
  change: ChangeSchema,
  needs: Type.Object({
    role: words(['responder', 'tuner']),
    expires: Type.Boolean({ description: 'whether an `expires` must be given' }),
  }),
  wouldHide: Type.Object(
    {
      incidents: Type.Array(
        Type.Object({
          id: Type.String(),
          entity: Type.String(),
          severity: Type.String(),
          why: Type.String(),
        }),
      ),
      looked: Type.Integer({ description: 'recent incidents that were looked at' }),
      notJudged: Type.Array(Type.String(), {
        description:
          'loosened fields whose effect on past incidents cannot be told from what is kept of them',
      }),
    },
    { description: 'Recent incidents that would not have opened, or not have been acted on' },
  ),
})

export const HistorySchema = Type.Object({
  items: Type.Array(
    Type.Object({
      settings: SettingsSchema,
      time: Type.String(),
      actor: Type.String(),
      reason: Type.String(),
      expires: NullableTime,
    }),
  ),
})

export const SpecsSchema = Type.Record(
  Type.String(),
  Type.Object({
    default: Type.Number(),
    min: Type.Number(),
    max: Type.Number(),
    unit: Type.String(),
    description: Type.String(),
    largerLoosens: Type.Boolean({ description: 'whether a larger value makes the engine act later or less' }),
  }),
)

export type NextSettingsBody = Static<typeof NextSettings>
