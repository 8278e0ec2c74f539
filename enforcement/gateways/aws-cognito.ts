import { CurfewError } from '../../core/errors.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { scopeKey } from '../plan.ts'
import { Turns } from '../turns.ts'
import { AwsDenyTable } from './aws-deny-table.ts'
import type { AwsCall } from './aws-sdk.ts'

export interface AwsCognitoOptions {
  readonly name: string
  /** Cognito user pools (cognito-idp). */
  readonly call: AwsCall
  readonly dynamodb: AwsCall
  /** The deny table, where it is kept who was signed out for which rule: a user pool has no place for that. */
  readonly table: string
  readonly userPoolId: string
  /** `iss` of the tokens of the pool. */
  readonly issuer: string
  /** Longest life of an access token of the pool, seconds: until then a check that works offline takes it. */
  readonly accessTokenSeconds: number
}

/** Subjects of local users. Cognito takes their `sub` as user name; a federated user has another name. */
const SUBJECT = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Signs a revoked subject out of a Cognito user pool, everywhere: refresh tokens count no longer, and Cognito itself
 * refuses the access tokens. Cognito cannot tell afterwards whether it did, and it cannot be taken back; the user may
 * sign in again. Authorizers that check tokens offline take them until they end: that is the deny table's part.
 */
export class AwsCognitoGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'aws-cognito'
  readonly can: readonly Capability[]
  private readonly options: AwsCognitoOptions
  private readonly notes: AwsDenyTable
  private readonly turns = new Turns()

  constructor(options: AwsCognitoOptions) {
    const { name, dynamodb, table, accessTokenSeconds } = options
    this.name = name
    this.options = options
    this.can = [
      {
        action: 'revoke-token',
        scope: 'subject',
        worstCaseDelayMs: accessTokenSeconds * 1_000,
        refusesCalls: false,
        lasting: 'the refresh tokens that were ended stay ended; the user may sign in again',
      },
    ]
    const list = { name, call: dynamodb, table, cacheSeconds: 0, caches: null, list: 'cognito' } as const
    this.notes = new AwsDenyTable(list)
  }

  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    return this.notes.list(stop)
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const able = capabilityFor(this, rule) !== null && rule.limit === null && RULE_ID.test(rule.id)
    const username = able ? this.userOf(rule) : null
    if (username === null) {
      const what = `${this.name}: Cognito cannot hold ${rule.action} of this ${rule.scope.kind}: only revoke-token of a subject that is a local user of the pool`
      throw new CurfewError('GATEWAY_UNSUPPORTED', what)
    }
    await this.turns.run(rule.id, async () => {
      const before = (await this.notes.list(stop)).find(({ id }) => id === rule.id)
      if (before === undefined || scopeKey(before.scope) !== scopeKey(rule.scope)) {
        const input = { UserPoolId: this.options.userPoolId, Username: username }
        if ((await this.options.call('AdminUserGlobalSignOut', input, stop)) === null)
          throw new CurfewError('GATEWAY_REFUSED', `${this.name}: the pool has no such user`)
      }
      // Noted afterwards: a sign-out that nobody noted is done once more, which takes nothing further away.
      await this.notes.put(rule, stop)
    })
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    await this.turns.run(id, () => this.notes.remove(id, stop))
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.notes.check(stop)
    await this.options.call('DescribeUserPool', { UserPoolId: this.options.userPoolId }, stop)
  }

  private userOf({ scope }: Rule): string | null {
    if (scope.kind !== 'subject' || !SUBJECT.test(scope.sub)) return null
    return scope.iss === null || scope.iss === this.options.issuer ? scope.sub : null
  }
}
