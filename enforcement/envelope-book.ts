import { ENVELOPE_LIMITS, type EnvelopeLimit, type EnvelopeLimits } from '../core/envelope.ts'
import type { Principal } from '../core/event.ts'
import type { WallTimeMs } from '../core/time.ts'
import type { Envelope, EnvelopeHolder } from './envelope.ts'
import { EnvelopeMeter } from './envelope-meter.ts'

/** What the book says about a call. */
export interface EnvelopeAnswer {
  readonly envelope: Envelope
  /** The limit that the call exceeds; null when it may pass. */
  readonly exceeded: EnvelopeLimit | null
}

/**
 * The envelopes that the decision endpoint holds, in this process only: whoever makes them makes them again after a
 * restart. It sees calls begin and not end, so it counts requests by itself, and tells the rest to gateways that
 * can count on.
 */
export class EnvelopeBook implements EnvelopeHolder {
  readonly name: string
  readonly inProcess = true
  readonly counts: readonly EnvelopeLimit[] = ENVELOPE_LIMITS
  private readonly byId = new Map<string, Envelope>()
  private readonly byCaller = new Map<string, Envelope>()
  private readonly meter = new EnvelopeMeter()
  private readonly refused = new Map<string, number>()

  constructor(name: string) {
    this.name = name
  }

  knows(): boolean {
    return true
  }

  async list(): Promise<readonly Envelope[]> {
    return [...this.byId.values()]
  }

  async put(envelope: Envelope): Promise<void> {
    this.drop(envelope.id)
    this.byId.set(envelope.id, envelope)
    this.byCaller.set(callerKey(envelope.principal), envelope)
  }

  async remove(ids: ReadonlySet<string>): Promise<void> {
    for (const id of ids) {
      const dropped = this.drop(id)
      if (dropped !== undefined) this.meter.forget(callerKey(dropped.principal))
      this.refused.delete(id)
    }
  }

  private drop(id: string): Envelope | undefined {
    const envelope = this.byId.get(id)
    if (envelope === undefined) return undefined
    this.byId.delete(id)
    const key = callerKey(envelope.principal)
    if (this.byCaller.get(key)?.id === id) this.byCaller.delete(key)
    return envelope
  }

  async settle(): Promise<void> {
    // What is in memory only ends with the process.
  }

  /** Calls refused since the envelope stands, or that would have been in observe mode. */
  refusals(id: string): number {
    return this.refused.get(id) ?? 0
  }

  /** The strictest answer of the envelopes of these callers, or null where there is none. Counts nothing but refusals. */
  ask(principals: readonly Pick<Principal, 'kind' | 'id'>[], now: WallTimeMs): EnvelopeAnswer | null {
    if (this.byCaller.size === 0) return null
    let answer: EnvelopeAnswer | null = null
    for (const principal of principals) {
      const key = callerKey(principal)
      const envelope = this.byCaller.get(key)
      if (envelope === undefined || envelope.until <= now) continue
      const exceeded = this.meter.exceeded(key, requestsOnly(envelope.limits), now)
      if (exceeded !== null) this.refused.set(envelope.id, this.refusals(envelope.id) + 1)
      if (answer === null || exceeded !== null) answer = { envelope, exceeded }
    }
    return answer
  }

  /** A call of these callers passes. */
  count(principals: readonly Pick<Principal, 'kind' | 'id'>[], now: WallTimeMs): void {
    if (this.byCaller.size === 0) return
    for (const principal of principals) {
      const key = callerKey(principal)
      if (!this.byCaller.has(key)) continue
      this.meter.begin(key, now)
      this.meter.end(key, null, 0, now)
    }
  }
}

function callerKey({ kind, id }: Pick<Principal, 'kind' | 'id'>): string {
  return `${kind}:${id}`
}

function requestsOnly({ requestsPer10s }: EnvelopeLimits): EnvelopeLimits {
  return { inFlight: Number.MAX_SAFE_INTEGER, requestsPer10s, recordsPer10min: null, bytesPer10min: null }
}

/** Header of a passing answer: the limits that a gateway can count by itself, `id=…;in-flight=2;records=180;bytes=…`. */
export const ENVELOPE_HEADER = 'x-curfew-envelope'

/** The text of {@link ENVELOPE_HEADER}: letters, digits and signs of our own only. */
export function envelopeHeader({ id, limits }: Envelope): string {
  const { inFlight, recordsPer10min, bytesPer10min } = limits
  const fields = [`id=${id}`, `in-flight=${inFlight}`]
  if (recordsPer10min !== null) fields.push(`records=${recordsPer10min}`)
  if (bytesPer10min !== null) fields.push(`bytes=${bytesPer10min}`)
  return fields.join(';')
}

/** Reads {@link envelopeHeader}; null for anything else. Requests are the endpoint's to count. */
export function envelopeOfHeader(
  text: string | undefined,
): { readonly id: string; readonly limits: EnvelopeLimits } | null {
  if (text === undefined) return null
  const fields = new Map(text.split(';').map((field) => field.split('=') as [string, string]))
  const id = fields.get('id')
  const number = (name: string) => (fields.has(name) ? Number(fields.get(name)) : null)
  const limits = {
    inFlight: number('in-flight') ?? Number.NaN,
    requestsPer10s: Number.MAX_SAFE_INTEGER,
    recordsPer10min: number('records'),
    bytesPer10min: number('bytes'),
  }
  const isWhole = Object.values(limits).every((limit) => limit === null || Number.isSafeInteger(limit))
  return id === undefined || !isWhole ? null : { id, limits }
}
