import { CurfewError } from '../../core/errors.ts'
import { wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { scopeKey } from '../plan.ts'
import { Turns } from '../turns.ts'
import { untilAgreed } from './agreement.ts'
import { isRecord } from './answer-shape.ts'
import { KeycloakClient } from './keycloak-client.ts'
import { groupOf, type KeycloakMark, MARK_PREFIX, markOf } from './keycloak-marks.ts'
import { KeycloakUsers } from './keycloak-users.ts'

export interface KeycloakOptions {
  readonly name: string
  readonly url: URL
  readonly realm: string
  readonly clientId: string
  readonly clientSecret: string
  /** `iss` of the tokens of the realm. */
  readonly issuer: string
  /** Whether the account is switched off for as long as the rule stands; else its sessions are ended, once. */
  readonly disablesUsers: boolean
  /** Longest life of an access token of the realm, seconds: until then a check that works offline takes it. */
  readonly accessTokenSeconds: number
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
}

/** Users looked at side by side when rules are listed. */
const LOOKS = 8
/** Ids of Keycloak's own users, and of users of a federated store (`f:` provider `:` their id there). */
const USER_ID =
  /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|f:[0-9a-f-]{36}:[\x21-\x2e\x30-\x7e]{1,200})$/

/**
 * A realm of Keycloak. A revoked subject loses all its sessions, online and offline, and every token issued so far
 * is refused wherever Keycloak is asked. That cannot be taken back; the user may log in again, and a service
 * account may ask for a new token, unless accounts are switched off as well, which is given back.
 *
 * One token by its `jti` is beyond Keycloak's admin API, and calls with a token that is checked offline go on until
 * it ends: that is the deny list's part.
 */
export class KeycloakGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'keycloak'
  readonly can: readonly Capability[]
  private readonly client: KeycloakClient
  private readonly users: KeycloakUsers
  private readonly issuer: string
  private readonly disables: boolean
  private readonly turns = new Turns()

  constructor(options: KeycloakOptions) {
    const { name, issuer, disablesUsers, accessTokenSeconds, timeoutMs = 5_000 } = options
    this.name = name
    this.issuer = issuer
    this.disables = disablesUsers
    this.client = new KeycloakClient({ ...options, timeoutMs, fetch: options.fetch ?? fetch })
    this.users = new KeycloakUsers(this.client)
    this.can = [
      {
        action: 'revoke-token',
        scope: 'subject',
        worstCaseDelayMs: accessTokenSeconds * 1_000,
        refusesCalls: false,
        lasting: disablesUsers
          ? 'the sessions that were ended stay ended; the account is switched on again'
          : 'the sessions that were ended stay ended; the user may log in again',
      },
    ]
  }

  /** Every rule of ours; one that is not carried out, or was undone by somebody else, as expired at time 0. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const marks = await this.marks(stop)
    const standing: boolean[] = []
    for (let from = 0; from < marks.length; from += LOOKS)
      standing.push(
        ...(await Promise.all(marks.slice(from, from + LOOKS).map((mark) => this.stands(mark, stop)))),
      )
    return marks.map(({ rule }, i) => (standing[i] ? rule : { ...rule, until: wallTime(0) }))
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const user = this.supportedUser(rule)
    await this.turns.run(user, () =>
      untilAgreed(this.name, 'mark of a rule', () => this.attempt(rule, user, stop)),
    )
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    const mark = (await this.marks(stop)).find(({ rule }) => rule.id === id)
    if (mark === undefined) return
    const user = userOf(mark.rule) ?? ''
    await this.turns.run(user, () => untilAgreed(this.name, 'mark of a rule', () => this.lift(id, stop)))
  }

  async check(stop: AbortSignal): Promise<void> {
    const query = { search: MARK_PREFIX, first: '0', max: '1' }
    const answer = await this.client.call({ method: 'GET', path: ['groups'], what: 'groups', query }, stop)
    if (answer === null) throw new CurfewError('GATEWAY_REFUSED', `${this.name}: there is no such realm`)
    if (!Array.isArray(answer.body)) throw this.client.nonsense('groups without a list')
  }

  private supportedUser(rule: Rule): string {
    const refuse = (why: string): never => {
      const what = `${this.name}: Keycloak cannot hold ${rule.action} of a ${rule.scope.kind}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${what}: ${why}`)
    }
    if (capabilityFor(this, rule) === null || rule.limit !== null) refuse('only revoke-token of a subject')
    if (!RULE_ID.test(rule.id)) refuse('the decision id does not fit into the name of a group')
    const { scope } = rule
    if (scope.kind === 'subject' && scope.iss !== null && scope.iss !== this.issuer)
      refuse('the tokens are of another issuer')
    return userOf(rule) ?? refuse('the subject is no id of a user of Keycloak')
  }

  private async stands({ rule, pending, wasEnabled }: KeycloakMark, stop: AbortSignal): Promise<boolean> {
    if (pending) return false
    if (wasEnabled === null) return true
    const user = await this.users.find(userOf(rule) ?? '', stop)
    return user === null || !user.enabled
  }

  /** One try to carry a rule out; false when what was done did not stay. */
  private async attempt(rule: Rule, id: string, stop: AbortSignal): Promise<boolean> {
    // The user first: one that a rule of ours has switched off was noted before that.
    const user = await this.users.find(id, stop)
    if (user === null) throw new CurfewError('GATEWAY_REFUSED', `${this.name}: the realm has no such user`)
    const marks = await this.marks(stop)
    const old = marks.find((mark) => mark.rule.id === rule.id) ?? null
    if (old !== null && userOf(old.rule) !== id) {
      if (!(await this.lift(rule.id, stop))) return false
      return this.attempt(rule, id, stop)
    }
    const beside = marks.find((mark) => userOf(mark.rule) === id && mark.wasEnabled !== null)
    const wasEnabled = this.disables ? (beside?.wasEnabled ?? user.enabled) : (old?.wasEnabled ?? null)
    const moved = old === null || scopeKey(old.rule.scope) !== scopeKey(rule.scope)
    const act = moved || old.pending || (wasEnabled !== null && user.enabled)
    const mark = { rule, wasEnabled }
    if (act || JSON.stringify(old.rule) !== JSON.stringify(rule))
      await this.note(old?.group ?? null, { ...mark, pending: act }, stop)
    if (act) {
      // Without the mark nobody could give back what it says: it must be there before anything changes.
      const begun = await this.markWith(rule.id, stop)
      if (begun === null || begun.wasEnabled !== wasEnabled) return false
      if (wasEnabled !== null && user.enabled && !(await this.users.enable(id, false, stop))) return false
      if (!(await this.users.logOut(id, stop))) return false
      await this.note(begun.group, { ...mark, pending: false }, stop)
    }
    const now = await this.markWith(rule.id, stop)
    return now !== null && !now.pending && now.rule.until === rule.until && now.wasEnabled === wasEnabled
  }

  private async lift(id: string, stop: AbortSignal): Promise<boolean> {
    const marks = await this.marks(stop)
    const mark = marks.find(({ rule }) => rule.id === id)
    if (mark === undefined) return true
    const user = userOf(mark.rule) ?? ''
    const others = marks.some(
      (other) => other !== mark && userOf(other.rule) === user && other.wasEnabled !== null,
    )
    if (mark.wasEnabled === true && !others) {
      const found = await this.users.find(user, stop)
      if (found !== null && !found.enabled && !(await this.users.enable(user, true, stop))) return false
    }
    const what = 'the mark of a rule'
    await this.client.call({ method: 'DELETE', path: ['groups', mark.group], what }, stop)
    return (await this.markWith(id, stop)) === null
  }

  private async note(
    group: string | null,
    mark: Omit<KeycloakMark, 'group'>,
    stop: AbortSignal,
  ): Promise<void> {
    const what = 'the mark of a rule'
    const body = groupOf(mark)
    if (group === null) await this.client.call({ method: 'POST', path: ['groups'], what, body }, stop)
    else await this.client.call({ method: 'PUT', path: ['groups', group], what, body }, stop)
  }

  private async markWith(id: string, stop: AbortSignal): Promise<KeycloakMark | null> {
    return (await this.marks(stop)).find(({ rule }) => rule.id === id) ?? null
  }

  private async marks(stop: AbortSignal): Promise<readonly KeycloakMark[]> {
    const query = { search: MARK_PREFIX, briefRepresentation: 'false' }
    const rows = await this.client.follow({ method: 'GET', path: ['groups'], what: 'groups', query }, stop)
    return rows.flatMap((row) => {
      const mark = markOf(row)
      if (mark !== 'damaged') return mark === null ? [] : [mark]
      const name = isRecord(row) && typeof row.name === 'string' ? row.name.slice(0, 100) : ''
      const what = `the mark on group ${JSON.stringify(name)} was edited; restore it or delete that group`
      throw new CurfewError('GATEWAY_CONFLICT', `${this.name}: ${what}`)
    })
  }
}

function userOf({ scope }: Rule): string | null {
  return scope.kind === 'subject' && USER_ID.test(scope.sub) ? scope.sub : null
}
