import type { Wider } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'
import type { Clock } from '../../core/time.ts'
import { type Alias, decisionIdOf } from '../../enforcement/aliases.ts'
import { Mask } from '../../enforcement/dry-run/mask.ts'
import { onePass } from '../../enforcement/dry-run/pass.ts'
import { type Recorded, Recorder } from '../../enforcement/dry-run/recorder.ts'
import { firstEnd } from '../../enforcement/enforcer-judgement.ts'
import { type Capability, capabilityFor, type GatewayAdapter, type Rule } from '../../enforcement/gateway.ts'
import { Placement } from '../../enforcement/placement.ts'
import { covers } from '../../enforcement/plan.ts'
import type { Outcome } from '../../enforcement/reconcile.ts'
import type { Config } from '../config/schema.ts'
import { Secret } from '../config/secret.ts'
import { chosenGateways, evidenceFor } from '../gateways.ts'
import { aliasesOf } from '../principal-aliases.ts'
import { type AskedDecision, STAND_IN_ID } from './asked-decision.ts'
import { dryGateways } from './dry-gateways.ts'

type GatewayConfig = Config['enforcement']['gateways'][number]

/** What a decision would do at one gateway. */
export interface DryResult extends Recorded {
  readonly gateway: string
  readonly kind: string
  /**
   * `sends`: the steps are complete. `nothing`: there is nothing to do. `unsupported`: it cannot hold this. `left-out`:
   * it is not meant for this. `failed`: it could not be asked, or refuses; the steps say how far it came.
   */
  readonly outcome: 'sends' | 'nothing' | 'unsupported' | 'left-out' | 'failed'
  /** Why, where the outcome needs a reason. */
  readonly detail: string | null
  /** What it would hold, where that is not what was asked for but wider. */
  readonly wider: Wider | null
  /** Null for a release. */
  readonly capability: Pick<Capability, 'worstCaseDelayMs' | 'refusesCalls' | 'lasting'> | null
}

/** What to show. */
export interface DryRunOptions {
  readonly asked: AskedDecision
  /** Only this gateway of the configuration. */
  readonly only?: string
  readonly offline: boolean
  readonly clock: Clock
}

/** Runs the adapters of a configuration for a decision, with recorders at their edges. */
export async function dryRun(config: Config, options: DryRunOptions): Promise<readonly DryResult[]> {
  const mask = new Mask(secretsIn(config))
  const entries = chosenGateways(config, options.only === undefined ? {} : { only: options.only })
  const results = await Promise.all(
    entries.map((entry) => atEntry(config, entry, new Recorder(mask, options.offline), options)),
  )
  return results.flat()
}

async function atEntry(
  config: Config,
  entry: GatewayConfig,
  recorder: Recorder,
  options: DryRunOptions,
): Promise<readonly DryResult[]> {
  const failed = (error: unknown): DryResult => {
    if (!(error instanceof CurfewError)) throw error
    const detail = recorder.mask.text(`${error.code}: ${error.message}`)
    const { name: gateway, kind } = entry
    return { ...NO_PLACE, gateway, kind, outcome: 'failed', detail, ...recorder.take() }
  }
  try {
    const { adapters, close, unread } = await dryGateways(config, entry, recorder, options.clock)
    try {
      const results: DryResult[] = []
      const meant = evidenceFor(config)
      for (const adapter of adapters) {
        const ids = options.asked.knowsGateway ? meant.get(adapter.name) : undefined
        results.push(await atAdapter(config, adapter, ids, recorder, options, unread))
      }
      return results
    } finally {
      await close()
    }
  } catch (error) {
    return [failed(error)]
  }
}

const NO_PLACE = { detail: null, wider: null, capability: null } as const

async function atAdapter(
  config: Config,
  adapter: GatewayAdapter,
  meant: readonly string[] | undefined,
  recorder: Recorder,
  { asked, clock }: DryRunOptions,
  unread: string | null,
): Promise<DryResult> {
  const { decision } = asked
  const base = { ...NO_PLACE, gateway: adapter.name, kind: adapter.kind }
  const wanted = wantedAt(config, asked, adapter, clock)
  if (wanted === null && meant !== undefined && !meant.includes(decision.gateway.id)) {
    const detail = `it acts on evidence of ${meant.join(', ')} only, not of ${decision.gateway.id}`
    return { ...base, outcome: 'left-out', detail, ...recorder.take() }
  }
  if (decision.action === 'release' && unread !== null)
    return { ...base, outcome: 'failed', detail: unread, ...recorder.take() }
  if (wanted === null) {
    const detail = `it cannot hold ${decision.action} of scope ${decision.scope.kind}`
    return { ...base, outcome: 'unsupported', detail, ...recorder.take() }
  }
  const { rules, desired } = wanted
  if (rules.some(({ id }) => decisionIdOf(id) === STAND_IN_ID))
    recorder.note(`a decision has an id of its own; ${STAND_IN_ID} stands for it`)
  const outcomes = await onePass(adapter, desired, clock)
  const [rule] = rules
  if (rule === undefined) return { ...base, ...resultOf(outcomes, recorder) }
  const own = rules.find(({ id }) => id === decision.id)
  const wider = own === undefined || own.scope === decision.scope ? null : formOf(own)
  return { ...base, wider, capability: capabilityFor(adapter, rule), ...resultOf(outcomes, recorder) }
}

function formOf({ action, scope, limit }: Rule): Wider {
  return { action, scope, limit }
}

/**
 * What should stand at a gateway once a decision is carried out there, and its rules, under each name by which that gateway
 * knows the caller; null where it holds none.
 */
export function wantedAt(
  config: Config,
  asked: AskedDecision,
  adapter: GatewayAdapter,
  clock: Clock,
): {
  readonly rules: readonly Rule[]
  readonly desired: (standing: readonly Rule[]) => readonly Rule[]
} | null {
  const { decision } = asked
  const meant = asked.knowsGateway ? evidenceFor(config) : new Map<string, readonly string[]>()
  const placement = new Placement([adapter], meant, aliasesFor(config, asked))
  if (decision.action === 'release') {
    const ids = meant.get(adapter.name)
    const names = HOLDS.flatMap((action) => placement.formsAt(adapter, { ...decision, action }))
    if (ids !== undefined && !ids.includes(decision.gateway.id) && names.length === 0) return null
    const scopes = [decision.scope, ...names.map(({ scope }) => scope)]
    const lifted = (rule: Rule) => scopes.some((scope) => covers(scope, rule.scope))
    return { rules: [], desired: (standing) => standing.filter((rule) => !lifted(rule)) }
  }
  const rules = rulesAt(config, asked, placement, adapter, clock)
  if (rules.length === 0) return null
  const ids = new Set(rules.map(({ id }) => id))
  return { rules, desired: (standing) => [...standing.filter(({ id }) => !ids.has(id)), ...rules] }
}

/** Callers with several names; where nobody says through which gateway a decision came, every name of theirs counts. */
function aliasesFor(config: Config, { knowsGateway }: AskedDecision): readonly Alias[] {
  const aliases = aliasesOf(config)
  if (knowsGateway) return aliases
  return aliases.map((alias) => ({
    ...alias,
    members: alias.members.map((member) => ({ ...member, evidenceFrom: null })),
  }))
}

/** What a release ends. */
const HOLDS = ['throttle', 'block', 'revoke-token', 'revoke-credential'] as const

/** The rules that the decision would be there, as the enforcer makes them. */
function rulesAt(
  config: Config,
  asked: AskedDecision,
  placement: Placement,
  adapter: GatewayAdapter,
  clock: Clock,
): readonly Rule[] {
  const { decision, knowsHolder } = asked
  const now = clock.now()
  const until = firstEnd(decision, now, config.enforcement.maxTokenLifetimeSeconds)
  const entry = {
    decision,
    status: 'pending',
    statusReason: null,
    issuedAt: now,
    until,
    approved: false,
    startedAt: [],
    receipts: [],
  } as const
  return placement.rulesAt(adapter, entry).map((rule) => {
    if (knowsHolder) return rule
    const { holder: _nobody, ...bare } = rule
    return bare
  })
}

function resultOf(
  outcomes: readonly Outcome[],
  recorder: Recorder,
): Recorded & Pick<DryResult, 'outcome' | 'detail'> {
  const recorded = recorder.take()
  const trouble = outcomes.find(({ outcome }) => outcome !== 'done')
  if (trouble !== undefined) {
    const outcome = trouble.unsupported ? 'unsupported' : 'failed'
    return { ...recorded, outcome, detail: recorder.mask.text(trouble.detail) }
  }
  const writes = recorded.steps.some(({ effect }) => effect === 'write')
  return { ...recorded, outcome: writes ? 'sends' : 'nothing', detail: null }
}

/** Every secret of a configuration, in clear: what must not be shown. */
function secretsIn(value: unknown): readonly string[] {
  if (value instanceof Secret) return [value.reveal()]
  if (typeof value === 'string') {
    const password = URL.canParse(value) ? new URL(value).password : ''
    return password === '' ? [] : [decodeURIComponent(password)]
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(secretsIn)
}
