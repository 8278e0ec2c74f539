import { afterEach } from 'vitest'
import type { Decision } from '../../../core/decision.ts'
import { createEnforcer, type Enforcer } from '../../../enforcement/enforcer.ts'
import type { EnforcerOptions } from '../../../enforcement/enforcer-options.ts'
import type { Capability, GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import {
  eventually,
  HandClock,
  MemoryLedger,
  quietLogger,
  sampleDecision,
} from '../../services/decision-ledger.ts'

export const START = Date.parse('2026-11-23T03:00:00Z')
export const EVERYTHING: readonly Capability[] = (['throttle', 'block', 'revoke-token'] as const).flatMap(
  (action) =>
    (['token', 'subject', 'principal'] as const).map((scope) => ({ action, scope, worstCaseDelayMs: 50 })),
)

/** A gateway in memory that records the order of its calls and fails on demand. */
export class TestGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'test'
  readonly can: readonly Capability[]
  readonly rules = new Map<string, Rule>()
  readonly calls: string[] = []
  failure: (() => Promise<never>) | null = null

  constructor(name: string, can: readonly Capability[] = EVERYTHING) {
    this.name = name
    this.can = can
  }
  async list(): Promise<readonly Rule[]> {
    await this.failure?.()
    return [...this.rules.values()]
  }
  async put(rule: Rule): Promise<void> {
    this.calls.push(`put ${rule.id}`)
    await this.failure?.()
    this.rules.set(rule.id, rule)
  }
  async remove(id: string): Promise<void> {
    this.calls.push(`remove ${id}`)
    await this.failure?.()
    this.rules.delete(id)
  }
  async check(): Promise<void> {
    await this.failure?.()
  }
}

export const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

export async function started(
  changes: Partial<EnforcerOptions> & { readonly gateways: readonly GatewayAdapter[] },
) {
  const clock = new HandClock(START)
  const ledger = new MemoryLedger()
  const options: EnforcerOptions = {
    ledger,
    clock,
    random: () => 0.5,
    logger: quietLogger,
    isAllowed: () => null,
    callTimeoutMs: 50,
    intervalMs: 20,
    ...changes,
  }
  const enforcer = createEnforcer(options)
  const stop = new AbortController()
  await enforcer.load()
  enforcer.start(stop.signal)
  stops.push(async () => {
    stop.abort()
    await enforcer.drain()
  })
  return { enforcer, clock: (options.clock as HandClock) ?? clock, ledger: options.ledger as MemoryLedger }
}

export const decision = (changes: Partial<Decision> = {}) => sampleDecision({ evidenceAt: START, ...changes })
export const becomes = (enforcer: Enforcer, id: string, status: string) =>
  eventually(() => enforcer.view(id)?.status === status, `${id} ${status}`)
