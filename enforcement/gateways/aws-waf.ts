import { CurfewError } from '../../core/errors.ts'
import { wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor } from '../gateway.ts'
import { Turns } from '../turns.ts'
import { isTexts } from './answer-shape.ts'
import { AwsDenyTable } from './aws-deny-table.ts'
import type { AwsCall } from './aws-sdk.ts'

/** An IP set of a regional web ACL. */
export interface IpSetName {
  readonly name: string
  readonly id: string
}

export interface AwsWafOptions {
  readonly name: string
  /** AWS WAF (wafv2). */
  readonly call: AwsCall
  readonly dynamodb: AwsCall
  /** The deny table, where whose address is whose is kept: an IP set holds bare addresses. */
  readonly table: string
  readonly ipSets: { readonly ipv4: IpSetName | null; readonly ipv6: IpSetName | null }
}

/** AWS states "a few seconds to a number of minutes" for changes of an IP set. */
export const AWS_WAF_WORST_CASE_DELAY_MS = 300_000

const MAX_ROUNDS = 6

interface IpSet {
  readonly addresses: readonly string[]
  readonly description: string | null
  readonly lockToken: string
}

/**
 * Blocks addresses through IP sets of AWS WAF, which a blocking rule of the web ACL must name. Whoever shares an
 * address is blocked with it. What we added is noted in the deny table before it is added, and addresses that
 * somebody else had put there are noted apart and stay.
 */
export class AwsWafGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'aws-waf'
  readonly can: readonly Capability[] = [
    { action: 'block', scope: 'principal', worstCaseDelayMs: AWS_WAF_WORST_CASE_DELAY_MS },
  ]
  private readonly call: AwsCall
  private readonly ours: AwsDenyTable
  private readonly theirs: AwsDenyTable
  private readonly ipSets: AwsWafOptions['ipSets']
  private readonly turns = new Turns()

  constructor({ name, call, dynamodb, table, ipSets }: AwsWafOptions) {
    this.name = name
    this.call = call
    this.ipSets = ipSets
    const notes = { name, call: dynamodb, table, cacheSeconds: 0, caches: null }
    this.ours = new AwsDenyTable({ ...notes, list: 'waf' })
    this.theirs = new AwsDenyTable({ ...notes, list: 'waf-theirs' })
  }

  /** Every rule of ours; one whose address is not in its set as expired at time 0. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const notes = [...(await this.ours.list(stop)), ...(await this.theirs.list(stop))]
    const held = new Set<string>()
    for (const set of this.sets()) for (const one of (await this.read(set, stop)).addresses) held.add(one)
    return notes.map((rule) =>
      held.has(this.addressOf(rule)?.cidr ?? '') ? rule : { ...rule, until: wallTime(0) },
    )
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const address = this.addressOf(rule)
    if (capabilityFor(this, rule) === null || rule.limit !== null || address === null) {
      const what = `${this.name}: AWS WAF cannot hold ${rule.action} of a ${rule.scope.kind}: only a block of an address whose IP set is configured`
      throw new CurfewError('GATEWAY_UNSUPPORTED', what)
    }
    await this.turns.run(address.set.id, async () => {
      // The set first: an address of ours that is in it was noted before.
      const { addresses } = await this.read(address.set, stop)
      const owned = (await this.ours.list(stop)).some((other) => this.addressOf(other)?.cidr === address.cidr)
      const foreign = addresses.includes(address.cidr) && !owned
      await (foreign ? this.theirs : this.ours).put(rule, stop)
      await (foreign ? this.ours : this.theirs).remove(rule.id, stop)
      if (!foreign)
        await this.edit(
          address.set,
          (all) => (all.includes(address.cidr) ? all : [...all, address.cidr]),
          stop,
        )
    })
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    const noted = await this.ours.list(stop)
    const rule = noted.find((one) => one.id === id)
    const address = rule === undefined ? null : this.addressOf(rule)
    if (address !== null) {
      await this.turns.run(address.set.id, async () => {
        const rest = (await this.ours.list(stop)).filter((one) => one.id !== id)
        const wanted = rest.some((other) => this.addressOf(other)?.cidr === address.cidr)
        if (!wanted) await this.edit(address.set, (all) => all.filter((one) => one !== address.cidr), stop)
      })
    }
    await this.ours.remove(id, stop)
    await this.theirs.remove(id, stop)
  }

  async check(stop: AbortSignal): Promise<void> {
    for (const set of this.sets()) await this.read(set, stop)
  }

  private sets(): readonly IpSetName[] {
    return [this.ipSets.ipv4, this.ipSets.ipv6].filter((set) => set !== null)
  }

  /** The address as WAF writes it, and the set that takes it; null for whoever is no address. */
  private addressOf({ scope }: Rule): { readonly cidr: string; readonly set: IpSetName } | null {
    if (scope.kind !== 'principal' || scope.principal.kind !== 'ip') return null
    const { id } = scope.principal
    const isIpv6 = IPV6_NETWORK.test(id)
    const set = isIpv6 ? this.ipSets.ipv6 : IPV4.test(id) ? this.ipSets.ipv4 : null
    return set === null ? null : { cidr: isIpv6 ? id : `${id}/32`, set }
  }

  private async read({ name, id }: IpSetName, stop: AbortSignal): Promise<IpSet> {
    const answer = await this.call('GetIPSet', { Name: name, Id: id, Scope: 'REGIONAL' }, stop)
    const set = (answer?.IPSet ?? {}) as Readonly<Record<string, unknown>>
    const { Addresses: addresses, Description: description = null } = set
    const lockToken = answer?.LockToken
    const isText = description === null || typeof description === 'string'
    if (!isTexts(addresses) || typeof lockToken !== 'string' || !isText) {
      throw new CurfewError('GATEWAY_UNREACHABLE', `${this.name}: AWS answered no IP set`, {
        retriable: true,
      })
    }
    return { addresses, description, lockToken }
  }

  /** Reads, changes and writes under the lock token, until nobody came between and the change is there. */
  private async edit(
    set: IpSetName,
    change: (addresses: readonly string[]) => readonly string[],
    stop: AbortSignal,
  ): Promise<void> {
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const { addresses, description, lockToken } = await this.read(set, stop)
      const wanted = change(addresses)
      if (wanted.length === addresses.length) return
      const input = { Name: set.name, Id: set.id, Scope: 'REGIONAL', Addresses: wanted, LockToken: lockToken }
      try {
        // An update replaces the description, too.
        await this.call(
          'UpdateIPSet',
          description === null ? input : { ...input, Description: description },
          stop,
        )
      } catch (error) {
        if (!(error instanceof CurfewError) || error.code !== 'GATEWAY_CONFLICT') throw error
      }
    }
    const what = `IP set ${set.name} did not take a change in ${MAX_ROUNDS} attempts: others write it, too`
    throw new CurfewError('GATEWAY_CONFLICT', `${this.name}: ${what}`, { retriable: true })
  }
}

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/
const IPV6_NETWORK = /^[0-9a-f:]{2,39}\/64$/
