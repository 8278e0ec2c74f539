import type { Action, Decision, Limit, Scope } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'
import type { Principal } from '../../core/event.ts'
import { isoTime } from '../../core/time.ts'
import { numberFlag, type ParsedArgs, textFlag } from '../command.ts'
import { shown } from '../config/problem.ts'

/** What stands for the id that a decision would have. */
export const STAND_IN_ID = 'dry-run'
const DEFAULT_HOLD_SECONDS = 3_600
const DEFAULT_LIMIT: Limit = { requests: 60, windowSeconds: 60 }

/** A decision to show, and who is asked about, in the words of the person who asks. */
export interface AskedDecision {
  readonly decision: Decision
  readonly who: string
  /** False where a token is named but not whose it is. */
  readonly knowsHolder: boolean
  /** Whether it names the gateway that its evidence came through. */
  readonly knowsGateway: boolean
}

const WHO = ['principal', 'token', 'token-issue', 'subject', 'credential', 'network'] as const
/** Flags that describe a decision, none of which goes with a decision that is given whole. */
export const DESCRIBING = [
  'action',
  ...WHO,
  'not-before',
  'requests',
  'window-seconds',
  'hold-seconds',
] as const

/** The decision that the flags of a command line describe. Throws `USAGE` naming the flag and its value. */
export function describedDecision(args: ParsedArgs, now: number): AskedDecision {
  const action = textFlag(args, 'action') as Action | undefined
  if (action === undefined) throw usage('say what to show: --action ACTION with who, or --decision FILE')
  const { scope, principal } = whoOf(args)
  const limit = limitOf(args, action)
  const isNetwork = scope.kind === 'network' && action !== 'release'
  const given = WHO.flatMap((name) => {
    const value = textFlag(args, name)
    return value === undefined ? [] : [`--${name} ${shown(value)}`]
  })
  const decision: Decision = {
    ...blank(now),
    id: STAND_IN_ID,
    action,
    scope,
    principal: principal ?? NOBODY,
    holdSeconds: numberFlag(args, 'hold-seconds') ?? DEFAULT_HOLD_SECONDS,
    limit,
    // What the engine says along with a network, which few gateways can tell.
    ...(isNetwork
      ? { wider: { action, scope: { kind: 'principal', principal: scope.principal }, limit } }
      : {}),
  }
  return { decision, who: given.join(' '), knowsHolder: principal !== null, knowsGateway: false }
}

const NOBODY: Principal = { kind: 'sub', id: '', label: '', verified: true }

/** What a decision has that no gateway is told. */
export function blank(now: number) {
  return {
    time: isoTime(now),
    tenant: 'default',
    entity: { type: 'principal', id: '' },
    mode: 'enforce',
    incident: '',
    reason: '',
    gateway: { kind: '', id: '' },
    tokenExp: null,
    evidenceAt: now,
  } as const
}

function whoOf(args: ParsedArgs): { readonly scope: Scope; readonly principal: Principal | null } {
  const [named, ...more] = WHO.slice(1).filter((name) => textFlag(args, name) !== undefined)
  if (more.length > 0) throw usage(`give one of --${named} and --${more.join(', --')}`)
  const principal = principalOf(textFlag(args, 'principal'))
  if (named === undefined && principal === null)
    throw usage(`say whom: ${WHO.map((name) => `--${name}`).join(', ')}`)
  const notBefore = numberFlag(args, 'not-before') ?? null
  if (notBefore !== null && named !== 'subject') throw usage('--not-before goes with --subject only')
  const value = named === undefined ? '' : (textFlag(args, named) ?? '')
  switch (named) {
    case 'token': {
      const [iss, jti] = pair('token', 'ISS,JTI', value)
      return { scope: { kind: 'token', iss, jti }, principal }
    }
    case 'token-issue': {
      const [iss, rest] = pair('token-issue', 'ISS,SUB,IAT', value)
      const comma = rest.lastIndexOf(',')
      const [sub, iat] = [rest.slice(0, Math.max(comma, 0)), rest.slice(comma + 1)]
      if (sub === '' || !/^\d{1,12}$/.test(iat)) throw malformed('token-issue', 'ISS,SUB,IAT', value)
      return {
        scope: { kind: 'token-issue', iss, sub, iat: Number(iat) },
        principal: principal ?? subject(iss, sub),
      }
    }
    case 'subject': {
      const [iss, sub] = pair('subject', 'ISS,SUB', value)
      return { scope: { kind: 'subject', iss, sub, notBefore }, principal: principal ?? subject(iss, sub) }
    }
    case 'credential':
      return {
        scope: { kind: 'credential', credential: value, principal: owner(principal, named) },
        principal,
      }
    case 'network':
      return { scope: { kind: 'network', network: value, principal: owner(principal, named) }, principal }
    default:
      return { scope: { kind: 'principal', principal: owner(principal, 'principal') }, principal }
  }
}

function owner(principal: Principal | null, flag: string): Principal {
  if (principal === null) throw usage(`--${flag} needs --principal KIND:ID, whose it is`)
  return principal
}

function subject(iss: string | null, sub: string): Principal {
  const id = iss === null ? sub : JSON.stringify([iss, sub])
  return { kind: 'sub', id, label: sub, verified: true }
}

const KINDS: readonly Principal['kind'][] = ['consumer', 'sub', 'app', 'key', 'account', 'ip']

function principalOf(text: string | undefined): Principal | null {
  if (text === undefined) return null
  const colon = text.indexOf(':')
  const kind = KINDS.find((one) => one === text.slice(0, colon))
  const id = text.slice(colon + 1)
  if (kind === undefined || id === '') {
    const allowed = `KIND:ID with a kind of ${KINDS.join(', ')}`
    throw usage(`--principal is ${shown(text)}, allowed is ${allowed}`)
  }
  return { kind, id, label: id, verified: kind !== 'ip' }
}

/** An issuer, null for an empty one, and what follows its comma. */
function pair(flag: string, form: string, text: string): readonly [string | null, string] {
  const comma = text.indexOf(',')
  if (comma === -1 || comma === text.length - 1) throw malformed(flag, form, text)
  return [comma === 0 ? null : text.slice(0, comma), text.slice(comma + 1)]
}

function limitOf(args: ParsedArgs, action: Action): Limit | null {
  const [requests, windowSeconds] = [numberFlag(args, 'requests'), numberFlag(args, 'window-seconds')]
  if (action !== 'throttle') {
    if (requests !== undefined) throw usage(`--requests goes with --action throttle, not ${action}`)
    if (windowSeconds !== undefined)
      throw usage(`--window-seconds goes with --action throttle, not ${action}`)
    return null
  }
  return {
    requests: requests ?? DEFAULT_LIMIT.requests,
    windowSeconds: windowSeconds ?? DEFAULT_LIMIT.windowSeconds,
  }
}

function malformed(flag: string, form: string, text: string): CurfewError {
  return usage(`--${flag} is ${shown(text)}, allowed is ${form}; an empty ISS is none`)
}

function usage(message: string): CurfewError {
  return new CurfewError('USAGE', message)
}
