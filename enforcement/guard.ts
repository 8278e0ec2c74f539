/** Bounds on what may be enforced without a person. */
export interface GuardSettings {
  /** Window over which newly restricted principals are counted, milliseconds. */
  readonly windowMs: number
  /** Newly restricted principals per window that are always allowed. */
  readonly newPrincipals: number
  /** ...or this share of the known principals, when that is more. */
  readonly shareOfPrincipals: number
  /** Rules that may stand at the same time. */
  readonly maxLiveRules: number
}

/** 20 new principals or 1 % of the known ones per 10 minutes, 1,000 rules at a time. */
export const DEFAULT_GUARD: GuardSettings = {
  windowMs: 600_000,
  newPrincipals: 20,
  shareOfPrincipals: 0.01,
  maxLiveRules: 1_000,
}

/** What the guard looks at. */
export interface GuardQuestion {
  readonly now: number
  /** Key of the principal that would be restricted. */
  readonly principal: string
  /** When each principal was last newly restricted, epoch ms. */
  readonly restricted: ReadonlyMap<string, number>
  readonly knownPrincipals: number
  readonly liveRules: number
}

/**
 * Why a person must agree first, or null. A detector gone wrong, or an attacker who makes many callers look
 * hostile, is stopped here. A further rung for a principal restricted within the window is no new principal.
 */
export function guardReason(settings: GuardSettings, question: GuardQuestion): string | null {
  if (question.liveRules >= settings.maxLiveRules) {
    return `mass-action guard: ${question.liveRules} rules stand already (bound ${settings.maxLiveRules})`
  }
  const since = question.now - settings.windowMs
  let recent = 0
  for (const [principal, at] of question.restricted) {
    if (at <= since) continue
    if (principal === question.principal) return null
    recent++
  }
  const share = Math.floor(settings.shareOfPrincipals * question.knownPrincipals)
  const bound = Math.max(settings.newPrincipals, share)
  if (recent < bound) return null
  const minutes = Math.round(settings.windowMs / 60_000)
  return `mass-action guard: ${recent} principals restricted within ${minutes} min (bound ${bound})`
}
