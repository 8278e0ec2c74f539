import { CurfewError } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { capabilityFor } from '../../../enforcement/gateway.ts'
import type { CheckName, Failure, GatewayBench, GatewayCase } from './gateway-contract.ts'

/** What the imaginary control plane stores: a value per caller, and whose it is. */
interface Row {
  readonly owner: 'curfew' | 'somebody else'
  readonly rule: Rule
}

/** The smallest control plane that every check can be tried on. Rows are keyed by decision id. */
class ControlPlane {
  readonly rows = new Map<string, Row>()
  calls = 0
  failure: Failure | null = null

  /** One call: fails as told, else gives the others a turn like a network does. */
  async call<T>(stop: AbortSignal, act: () => T): Promise<T> {
    this.calls++
    if (this.failure === 'hang') {
      await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }))
    }
    await new Promise((resolve) => setImmediate(resolve))
    if (stop.aborted) throw new CurfewError('ABORTED', 'the call was aborted')
    if (this.failure !== null)
      throw new CurfewError('GATEWAY_UNREACHABLE', `the gateway is ${this.failure}`, { retriable: true })
    return act()
  }
}

/** A correct adapter; each twin below breaks one thing. */
class RightGateway implements GatewayAdapter {
  readonly name = 'twin'
  readonly kind = 'twin'
  readonly can = [{ action: 'block', scope: 'principal', worstCaseDelayMs: 0 }] as const
  protected readonly plane: ControlPlane

  constructor(plane: ControlPlane) {
    this.plane = plane
  }

  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    stop.throwIfAborted()
    return this.plane.call(stop, () =>
      [...this.plane.rows.values()].filter((row) => row.owner === 'curfew').map((row) => row.rule),
    )
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    stop.throwIfAborted()
    if (capabilityFor(this, rule) === null)
      throw new CurfewError('GATEWAY_UNSUPPORTED', `cannot ${rule.action}`)
    await this.plane.call(stop, () => this.write(rule))
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    stop.throwIfAborted()
    await this.plane.call(stop, () => this.erase(id))
  }

  async check(stop: AbortSignal): Promise<void> {
    stop.throwIfAborted()
    await this.plane.call(stop, () => undefined)
  }

  protected write(rule: Rule): void {
    this.plane.rows.set(rule.id, { owner: 'curfew', rule })
  }

  protected erase(id: string): void {
    if (this.plane.rows.get(id)?.owner === 'curfew') this.plane.rows.delete(id)
  }
}

/** Keeps rules in its own memory, so another reconciler does not see them. */
class MemoryOnly extends RightGateway {
  private readonly mine = new Map<string, Rule>()
  protected override write(rule: Rule): void {
    this.mine.set(rule.id, rule)
  }
  override async list(): Promise<readonly Rule[]> {
    return [...this.mine.values()]
  }
}

/** Fills in what was never asked for: the next plan sees a difference for ever. */
class PerpetualDifference extends RightGateway {
  override async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const rules = await super.list(stop)
    return rules.map((rule) => ({ ...rule, limit: rule.limit ?? { requests: 0, windowSeconds: 60 } }))
  }
}

class AppendsEachTime extends RightGateway {
  protected override write(rule: Rule): void {
    this.plane.rows.set(`${rule.id}/${this.plane.rows.size}`, { owner: 'curfew', rule })
  }
}

class NeverReplaces extends RightGateway {
  protected override write(rule: Rule): void {
    if (!this.plane.rows.has(rule.id)) super.write(rule)
  }
}

class ComplainsAboutAbsence extends RightGateway {
  protected override erase(id: string): void {
    if (!this.plane.rows.has(id)) throw new CurfewError('GATEWAY_REFUSED', `no rule ${id}`)
    super.erase(id)
  }
}

class LeavesTraces extends RightGateway {
  protected override erase(id: string): void {
    const row = this.plane.rows.get(id)
    super.erase(id)
    if (row) this.plane.rows.set(`${id}/disabled`, { ...row, owner: 'somebody else' })
  }
}

/** Finds rules by how their ids begin, as a search without an end does. */
class RemovesByPrefix extends RightGateway {
  protected override erase(id: string): void {
    for (const [key, row] of this.plane.rows)
      if (row.owner === 'curfew' && key.startsWith(id)) this.plane.rows.delete(key)
  }
}

class TakesEverythingForItsOwn extends RightGateway {
  override async list(stop: AbortSignal): Promise<readonly Rule[]> {
    return this.plane.call(stop, () => [...this.plane.rows.values()].map((row) => row.rule))
  }
}

class SweepsStrangers extends RightGateway {
  protected override erase(id: string): void {
    super.erase(id)
    for (const [key, row] of this.plane.rows) if (row.owner !== 'curfew') this.plane.rows.delete(key)
  }
}

class FindsOutTooLate extends RightGateway {
  override async put(rule: Rule, stop: AbortSignal): Promise<void> {
    await this.check(stop)
    await super.put(rule, stop)
  }
}

class AcceptsAnything extends RightGateway {
  override async put(rule: Rule, stop: AbortSignal): Promise<void> {
    stop.throwIfAborted()
    await this.plane.call(stop, () => this.write(rule))
  }
}

class EmptyWhenUnsure extends RightGateway {
  override async list(stop: AbortSignal): Promise<readonly Rule[]> {
    return super.list(stop).catch((error: unknown) => {
      if (stop.aborted) throw error
      return []
    })
  }
}

class ThrowsRawErrors extends RightGateway {
  override async list(stop: AbortSignal): Promise<readonly Rule[]> {
    return super.list(stop).catch(() => {
      throw new TypeError('fetch failed')
    })
  }
}

class DeafToAbort extends RightGateway {
  private readonly deaf = new AbortController().signal
  override async list(): Promise<readonly Rule[]> {
    return super.list(this.deaf)
  }
}

/** Looks first and appends later, so two that look at the same time both append. */
class LooksThenAppends extends RightGateway {
  override async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const seen = (await super.list(stop)).some((other) => other.id === rule.id)
    if (seen) return super.put(rule, stop)
    await this.plane.call(stop, () => {
      const key = this.plane.rows.has(rule.id) ? `${rule.id}/${this.plane.rows.size}` : rule.id
      this.plane.rows.set(key, { owner: 'curfew', rule })
    })
  }
}

/** Each wrong twin with the check that must reject it. */
export const GATEWAY_TWINS: readonly {
  readonly name: string
  readonly failing: CheckName
  readonly twin: new (plane: ControlPlane) => GatewayAdapter
}[] = [
  { name: 'keeps rules in memory only', failing: 'put-then-list', twin: MemoryOnly },
  { name: 'lists server defaults as content', failing: 'put-then-list', twin: PerpetualDifference },
  { name: 'appends on each put', failing: 'put-twice', twin: AppendsEachTime },
  { name: 'never replaces', failing: 'replace', twin: NeverReplaces },
  { name: 'complains about absence', failing: 'remove-absent', twin: ComplainsAboutAbsence },
  { name: 'leaves traces', failing: 'remove-restores', twin: LeavesTraces },
  { name: 'removes whatever begins alike', failing: 'two-names', twin: RemovesByPrefix },
  { name: 'lists strangers', failing: 'foreign-untouched', twin: TakesEverythingForItsOwn },
  { name: 'removes strangers', failing: 'foreign-untouched', twin: SweepsStrangers },
  { name: 'calls before refusing', failing: 'unsupported-refused', twin: FindsOutTooLate },
  { name: 'accepts anything', failing: 'unsupported-refused', twin: AcceptsAnything },
  { name: 'lists nothing when it failed', failing: 'list-throws', twin: EmptyWhenUnsure },
  { name: 'throws raw errors', failing: 'list-throws', twin: ThrowsRawErrors },
  { name: 'is deaf to abort', failing: 'abort-honoured', twin: DeafToAbort },
  { name: 'looks first and appends later', failing: 'two-reconcilers', twin: LooksThenAppends },
]

function blockRule(id: string, consumer: string, until: number): Rule {
  const principal = { kind: 'consumer', id: consumer, label: consumer, verified: true } as const
  return { id, action: 'block', scope: { kind: 'principal', principal }, limit: null, until: wallTime(until) }
}

/** The contract's case for one twin, or for the right implementation when none is given. */
export function twinCase(twin: new (plane: ControlPlane) => GatewayAdapter = RightGateway): GatewayCase {
  const rules = [blockRule('dec_a', 'c-1', 1_790_000_000_000), blockRule('dec_b', 'c-2', 1_790_000_060_000)]
  const planes = new WeakMap<GatewayBench, ControlPlane>()
  return {
    name: 'reference',
    rules,
    changed: blockRule('dec_a', 'c-1', 1_790_000_120_000),
    unsupported: { ...rules[0]!, action: 'revoke-credential' },
    make: async () => {
      const plane = new ControlPlane()
      const bench = planeBench(plane, twin)
      planes.set(bench, plane)
      return bench
    },
    foreign: async (bench) => {
      const rule = blockRule('theirs', 'c-1', 1_800_000_000_000)
      planes.get(bench)?.rows.set('theirs', { owner: 'somebody else', rule })
    },
  }
}

function planeBench(plane: ControlPlane, twin: new (plane: ControlPlane) => GatewayAdapter): GatewayBench {
  return {
    adapter: new twin(plane),
    other: new twin(plane),
    calls: () => plane.calls,
    failures: ['refused', 'status-500', 'garbage', 'hang'],
    fail: async (failure) => {
      plane.failure = failure
    },
    state: async () => [...plane.rows].map(([id, row]) => [id, row]).sort(),
    close: async () => plane.rows.clear(),
  }
}
