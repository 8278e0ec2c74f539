import type { Mode, OnTimeout } from '../core/decision.ts'

/** Describes one tunable: the only source of its default, bounds, unit and documentation. */
export interface SettingSpec {
  readonly default: number
  readonly min: number
  readonly max: number
  readonly unit: string
  readonly description: string
  /** Whether a larger value makes the engine act later or less (a loosening). */
  readonly largerLoosens: boolean
}

/** Thresholds that operators tune without a restart. Admin API, configuration and docs derive from this. */
export const SETTING_SPECS = {
  falseAlarmBudget: {
    default: 5,
    min: 0.1,
    max: 200,
    unit: 'incidents per 1,000 principal-days',
    description: 'Picks the incident threshold from the calibrated largest surprise per principal-day.',
    largerLoosens: false,
  },
  minIncidentSurprise: {
    default: 2,
    min: 1,
    max: 30,
    unit: '-log10 p',
    description: 'An incident never opens below this surprise, whatever the budget allows.',
    largerLoosens: true,
  },
  throttleSurprise: {
    default: 5.5,
    min: 2,
    max: 40,
    unit: '-log10 p',
    description: 'Surprise from which a caller is throttled, when impact and persistence agree.',
    largerLoosens: true,
  },
  revokeSurprise: {
    default: 8,
    min: 2,
    max: 60,
    unit: '-log10 p',
    description:
      'Surprise from which a held caller that goes on is revoked, if something speaks for a credential in other hands.',
    largerLoosens: true,
  },
  impactRecords: {
    default: 100,
    min: 0,
    max: 1e9,
    unit: 'records',
    description:
      'Impact floor: records that surprising calls of the incident returned before anything is enforced.',
    largerLoosens: true,
  },
  impactRequests: {
    default: 200,
    min: 0,
    max: 1e9,
    unit: 'requests',
    description: 'Impact floor: surprising calls of the incident before anything is enforced.',
    largerLoosens: true,
  },
  impactBytes: {
    default: 10_000_000,
    min: 0,
    max: 1e15,
    unit: 'bytes',
    description: 'Impact floor: response bytes of surprising calls before anything is enforced.',
    largerLoosens: true,
  },
  persistenceEvents: {
    default: 4,
    min: 1,
    max: 100_000,
    unit: 'events',
    description: 'Surprising events that an incident needs before anything is enforced.',
    largerLoosens: true,
  },
  revokeAttempts: {
    default: 10,
    min: 1,
    max: 1_000_000,
    unit: 'refused calls',
    description: 'Refused calls of a held caller after which the next rung of the ladder is taken.',
    largerLoosens: true,
  },
  holdSeconds: {
    default: 3600,
    min: 60,
    max: 604_800,
    unit: 'seconds',
    description: 'How long a decision holds before it expires by itself.',
    largerLoosens: false,
  },
  approvalSeconds: {
    default: 3600,
    min: 60,
    max: 604_800,
    unit: 'seconds of event time',
    description:
      'How long a decision waits for a person to agree; then `onTimeout` of the mode rule says what becomes of it.',
    largerLoosens: true,
  },
  maxTrafficShare: {
    default: 0.01,
    min: 0,
    max: 1,
    unit: "share of the gateway's calls on a busy day",
    description:
      'A caller that makes more of the calls of its gateway than this, and at least 200 a day, is acted on only when a person agrees.',
    largerLoosens: true,
  },
  throttleRequests: {
    default: 1,
    min: 1,
    max: 1e6,
    unit: 'requests',
    description: 'Calls that a throttled caller keeps, per throttle window.',
    largerLoosens: true,
  },
  throttleWindowSeconds: {
    default: 10,
    min: 1,
    max: 3600,
    unit: 'seconds',
    description: 'Window of a throttle.',
    largerLoosens: false,
  },
  quietSeconds: {
    default: 3600,
    min: 60,
    max: 604_800,
    unit: 'seconds of event time',
    description: 'An incident resolves after this long without surprising demand.',
    largerLoosens: false,
  },
  maxFreezeSeconds: {
    default: 259_200,
    min: 3600,
    max: 2_592_000,
    unit: 'seconds of event time',
    description:
      'An incident open longer without enforcement makes its principal STALE and learning resumes, bounded.',
    largerLoosens: false,
  },
  profileIdleDays: {
    default: 90,
    min: 1,
    max: 3650,
    unit: 'days of event time',
    description: 'The profile of a principal that has not called for this long is deleted.',
    largerLoosens: false,
  },
  incidentDays: {
    default: 90,
    min: 1,
    max: 3650,
    unit: 'days of event time',
    description: 'A resolved incident is deleted after this long.',
    largerLoosens: false,
  },
} as const satisfies Record<string, SettingSpec>

/** Name of a tunable threshold. */
export type SettingName = keyof typeof SETTING_SPECS
/** A value for every threshold. */
export type SettingValues = { readonly [K in SettingName]: number }

/** The thresholds nobody has tuned. */
export const DEFAULT_SETTINGS: SettingValues = Object.fromEntries(
  Object.entries(SETTING_SPECS).map(([name, spec]) => [name, spec.default]),
) as SettingValues

/** Where a mode is set; unset means any. The most specific matching rule wins, in the order of the members. */
export interface ModeRule {
  readonly principal?: string
  readonly group?: string
  readonly gateway?: string
  readonly detector?: string
  readonly action?: string
  readonly mode: Mode
  /** With `approve`: what becomes of a decision that nobody agreed to in time; dropped when not given. */
  readonly onTimeout?: OnTimeout
}

/** A person's exception: the named principal is never acted on (`allow`) until it expires. */
export interface AllowRule {
  /** Tenant and entity id, for example `default` and `consumer:backup`. */
  readonly tenant: string
  readonly entity: string
  readonly reason: string
  /** ISO 8601, or null for entries of the configuration file, which do not expire. */
  readonly expires: string | null
}

/**
 * Planned work: within it nothing is newly enforced on the caller or on those who belong to the group, and incidents
 * count one severity less. They are told all the same.
 */
export interface MaintenanceWindow {
  readonly tenant: string
  /** The caller, such as `consumer:backup`; or else `group`. */
  readonly entity?: string
  /** An owner above the callers, such as `org:acme`. */
  readonly group?: string
  /** ISO 8601. */
  readonly from: string
  readonly to: string
  readonly reason: string
}

/** Everything that steers detection and policy; immutable, takes effect as a control record. */
export interface EngineSettings {
  readonly version: number
  readonly values: SettingValues
  readonly modes: readonly ModeRule[]
  readonly allow: readonly AllowRule[]
  /** Absent where nobody planned anything. */
  readonly maintenance?: readonly MaintenanceWindow[]
}

/** Settings of an earlier build with what it did not know set to the defaults. */
export function completed(settings: EngineSettings): EngineSettings {
  return { ...settings, values: { ...DEFAULT_SETTINGS, ...settings.values } }
}
