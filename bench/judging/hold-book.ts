import type { Decision, Scope } from '../../core/decision.ts'
import type { AccessEvent } from '../../core/event.ts'
import { networkOf } from '../../core/network.ts'
import type { Call } from './call-book.ts'
import type { Action } from './seed-record.ts'

/** The members of a decision line that judging reads. */
export type DecisionLine = Pick<
  Decision,
  'time' | 'action' | 'scope' | 'limit' | 'holdSeconds' | 'incident' | 'mode'
>

interface Hold {
  readonly scope: Scope
  readonly limit: Decision['limit']
  /** Event time of the decision and of its expiry, epoch ms. */
  readonly from: number
  readonly until: number
  /** Per delay: the running window of a throttle and the calls that it let through. */
  readonly windows: { window: number; passed: number }[]
}

/**
 * What the decisions would have held back. The log does not react: a call that a gateway would have refused
 * stands in it as served, so what left is worked out here from the decisions, the delay that the adapter
 * states, and the rate of a throttle. An attacker's whole allowance is counted against us.
 */
export class HoldBook {
  readonly actions: Action[] = []
  /** Records that left, per attack and delay. */
  readonly left = new Map<string, number[]>()
  private readonly delays: readonly number[]
  private readonly holds = new Map<number, Hold[]>()
  private readonly acted = new Set<string>()

  /** `delays`: milliseconds from a decision to its being in force everywhere, one figure for each. */
  constructor(delays: readonly number[]) {
    this.delays = delays
  }

  /** Counts an attack call before the engine sees it: only earlier decisions can have stopped it. */
  before(call: Call): void {
    if (call.kind !== 'attack' || call.repeated || call.event.time < call.episode!.harmFrom) return
    const left = this.left.get(call.episode!.id) ?? this.delays.map(() => 0)
    this.left.set(call.episode!.id, left)
    const holds = this.holds.get(call.caller) ?? []
    for (const [i, delay] of this.delays.entries()) {
      if (holds.every((hold) => passes(hold, call.event, i, delay))) left[i]! += call.records
    }
  }

  /** Takes a decision that `call` led to. */
  decide(line: DecisionLine, call: Call): void {
    if (line.action === 'release') return
    const from = Date.parse(line.time)
    const holds = this.holds.get(call.caller) ?? []
    const windows = this.delays.map(() => ({ window: -1, passed: 0 }))
    const until = from + line.holdSeconds * 1000
    // What has run out by the log's time cannot hold a later call; a late one is let through, against us.
    const standing = holds.filter((hold) => hold.until > from)
    this.holds.set(call.caller, [...standing, { scope: line.scope, limit: line.limit, from, until, windows }])
    const kind = line.action === 'revoke-token' || line.action === 'revoke-credential' ? 'revoke' : 'throttle'
    const id = `${line.incident} ${kind}`
    if (this.acted.has(id)) return
    this.acted.add(id)
    this.actions.push({
      incident: line.incident,
      kind,
      caller: call.caller,
      time: call.event.time,
      call: call.kind,
      judged: call.judged,
    })
  }
}

function passes(hold: Hold, event: AccessEvent, index: number, delay: number): boolean {
  const time: number = event.time
  const effective = hold.from + delay
  if (time < effective || time >= hold.until || !covers(hold.scope, event)) return true
  if (hold.limit === null) return false
  const state = hold.windows[index]!
  const window = Math.floor((time - effective) / (hold.limit.windowSeconds * 1000))
  if (window !== state.window) {
    state.window = window
    state.passed = 0
  }
  if (state.passed >= hold.limit.requests) return false
  state.passed++
  return true
}

/** Whether a decision about the call's caller covers this call. */
function covers(scope: Scope, { token, credential, clientIp }: AccessEvent): boolean {
  switch (scope.kind) {
    case 'network':
      return networkOf(clientIp) === scope.network
    case 'principal':
      return true
    case 'credential':
      return credential === scope.credential
    case 'token':
      return token !== null && token.iss === scope.iss && token.jti === scope.jti
    case 'token-issue':
      return token !== null && token.iss === scope.iss && token.sub === scope.sub && token.iat === scope.iat
    case 'subject':
      return token !== null && token.iss === scope.iss && token.sub === scope.sub
  }
}
