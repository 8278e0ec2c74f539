import { CurfewError } from '../../core/errors.ts'
import { type Clock, wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { Turns } from '../turns.ts'
import { parseRule, type TextMap } from './deny-list-store.ts'
import type { EventReceiver } from './event-receiver.ts'
import type { EventSigner } from './event-signer.ts'
import { type EventFrame, eventId, eventSubject, sessionRevoked } from './security-events.ts'

export interface CaepOptions extends EventFrame {
  readonly name: string
  readonly receiver: EventReceiver
  readonly sign: EventSigner
  /** What was told to whom. Survives a restart, so that an event is not sent for every one. */
  readonly told: TextMap
  readonly clock: Clock
  /** How long the receiver, and tokens that it gave out before, may take at the most, seconds. */
  readonly effectSeconds: number
}

/** An event that was, or is about to be, sent. */
interface Notice {
  readonly rule: Rule
  readonly jti: string
  /** When it was first about to be sent, epoch seconds: part of what is sent. */
  readonly at: number
  readonly delivered: boolean
}

const LASTING = 'an event that was sent cannot be taken back: what the receiver ended stays ended'

/**
 * Tells an identity provider, or whoever else listens, that sessions are revoked: a CAEP `session-revoked` event per
 * decision, pushed as a signed Security Event Token. What the receiver does about it is its own affair, and nothing
 * tells it of the end of a rule. Receivers keep no list of ours, so what was told is on record here.
 */
export class CaepGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'caep'
  readonly can: readonly Capability[]
  private readonly options: CaepOptions
  private readonly turns = new Turns()

  constructor(options: CaepOptions) {
    this.name = options.name
    this.options = options
    const worstCaseDelayMs = options.effectSeconds * 1_000
    this.can = (['subject', 'token'] as const).map((scope) => ({
      action: 'revoke-token',
      scope,
      worstCaseDelayMs,
      refusesCalls: false,
      lasting: LASTING,
    }))
  }

  /** Every rule that was told; one whose event has not arrived as expired at time 0. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    return (await this.notices(stop)).map(({ rule, delivered }) =>
      delivered ? rule : { ...rule, until: wallTime(0) },
    )
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const { tokenIssuer, clock } = this.options
    const subject = capabilityFor(this, rule) === null ? null : eventSubject(rule.scope, tokenIssuer)
    if (subject === null || rule.limit !== null || !RULE_ID.test(rule.id)) {
      const what = `${this.name}: no event says ${rule.action} of this ${rule.scope.kind}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', what)
    }
    await this.turns.run(rule.id, async () => {
      const jti = eventId(rule)
      const before = (await this.notices(stop)).find((notice) => notice.rule.id === rule.id)
      const same = before?.jti === jti ? before : null
      const notice = { rule, jti, at: same?.at ?? Math.floor(clock.now() / 1_000) }
      if (same?.delivered === true) {
        if (JSON.stringify(same.rule) !== JSON.stringify(rule))
          await this.note({ ...notice, delivered: true }, stop)
        return
      }
      // On record before it is sent: whatever happens meanwhile, the next try sends the same event.
      await this.note({ ...notice, delivered: false }, stop)
      await this.options.receiver.push(await this.signed(notice), stop)
      await this.note({ ...notice, delivered: true }, stop)
    })
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    await this.turns.run(id, async () => {
      const told = (await this.notices(stop)).some(({ rule }) => rule.id === id)
      if (told) await this.kept(stop, () => this.options.told.delete(id, stop))
    })
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.kept(stop, () => this.options.told.ping(stop))
    await this.options.receiver.reach(stop)
  }

  private async signed({ rule, at }: Pick<Notice, 'rule' | 'at'>): Promise<string> {
    const claims = sessionRevoked(rule, this.options, at)
    if (claims === null) throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.name}: no event says this`)
    return this.options.sign(claims, 'secevent+jwt')
  }

  private async notices(stop: AbortSignal): Promise<readonly Notice[]> {
    const entries = await this.kept(stop, () => this.options.told.entries(stop))
    return [...entries].map(([id, text]) => parseNotice(id, text))
  }

  private async note({ rule, ...rest }: Notice, stop: AbortSignal): Promise<void> {
    const text = JSON.stringify({ layout: 1, ...rule, ...rest })
    await this.kept(stop, () => this.options.told.set(rule.id, text, stop))
  }

  private async kept<T>(stop: AbortSignal, act: () => Promise<T>): Promise<T> {
    if (stop.aborted) throw new CurfewError('ABORTED', `${this.name}: aborted`, { cause: stop.reason })
    try {
      return await act()
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'unknown failure'
      const what = `${this.name}: the record of what was told: ${why}`
      throw new CurfewError('GATEWAY_UNREACHABLE', what, { retriable: true, cause })
    }
  }
}

function parseNotice(id: string, text: string): Notice {
  const rule = parseRule(id, text)
  const { jti, at, delivered } = JSON.parse(text) as Readonly<Record<string, unknown>>
  if (typeof jti !== 'string' || typeof at !== 'number' || typeof delivered !== 'boolean')
    throw new CurfewError(
      'STORE_CORRUPT',
      `the record of event ${JSON.stringify(id.slice(0, 80))} is not readable`,
    )
  return { rule, jti, at, delivered }
}
