import type { Decision, Mode } from '../core/decision.ts'
import type { AllowRule, EngineSettings, ModeRule } from './settings.ts'

/** What a mode rule is held against. */
export interface ModeQuestion {
  readonly principal: string
  readonly groups: readonly string[]
  readonly gateway: string
  readonly detector: string
  readonly action: Decision['action']
}

/** Specificity of each field: a rule that names the principal beats any that does not, and so on. */
const SPECIFICITY = { principal: 32, group: 8, gateway: 4, detector: 2, action: 1 } as const

/** In a rule's `principal`: every address. */
export const ANY_ADDRESS = 'ip:*'
const ADDRESS = 'ip:'

const UNSET: ModeRule = { mode: 'observe' }

/**
 * The mode of the most specific matching rule; of equals the last one; observe when nothing matches. Many
 * callers may share an address, so on an address only rules act that name it, or name {@link ANY_ADDRESS}.
 */
export function modeFor(rules: readonly ModeRule[], question: ModeQuestion): Mode {
  return modeRuleFor(rules, question).mode
}

/** The rule that {@link modeFor} goes by. */
export function modeRuleFor(rules: readonly ModeRule[], question: ModeQuestion): ModeRule {
  let best = -1
  let found: ModeRule = UNSET
  for (const rule of rules) {
    const specificity = match(rule, question)
    if (specificity >= best && specificity >= 0) {
      best = specificity
      found = rule
    }
  }
  return found
}

function match(rule: ModeRule, q: ModeQuestion): number {
  let specificity = 0
  if (rule.principal !== undefined) {
    const anyAddress = rule.principal === ANY_ADDRESS && q.principal.startsWith(ADDRESS)
    if (rule.principal !== q.principal && !anyAddress) return -1
    specificity += anyAddress ? SPECIFICITY.principal / 2 : SPECIFICITY.principal
  } else if (q.principal.startsWith(ADDRESS)) return -1
  if (rule.group !== undefined) {
    if (!q.groups.includes(rule.group)) return -1
    specificity += SPECIFICITY.group
  }
  if (rule.gateway !== undefined) {
    if (rule.gateway !== q.gateway) return -1
    specificity += SPECIFICITY.gateway
  }
  if (rule.detector !== undefined) {
    if (rule.detector !== q.detector) return -1
    specificity += SPECIFICITY.detector
  }
  if (rule.action !== undefined) {
    if (rule.action !== q.action) return -1
    specificity += SPECIFICITY.action
  }
  return specificity
}

/** The allow-list entry that covers an entity at an instant (epoch ms), or null. */
export function allowedBy(
  settings: EngineSettings,
  tenant: string,
  entity: string,
  now: number,
): AllowRule | null {
  for (const rule of settings.allow) {
    if (rule.tenant !== tenant || rule.entity !== entity) continue
    if (rule.expires === null || Date.parse(rule.expires) > now) return rule
  }
  return null
}
