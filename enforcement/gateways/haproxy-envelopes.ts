import { ENVELOPE_LIMITS, type EnvelopeLimits } from '../../core/envelope.ts'
import { CurfewError } from '../../core/errors.ts'
import type { Principal } from '../../core/event.ts'
import { wallTime } from '../../core/time.ts'
import type { Envelope, EnvelopeHolder } from '../envelope.ts'
import { type HaproxyEntry, haproxySubjectKey, isOurs, subjectOf } from './haproxy-keys.ts'
import { HaproxyMaps, type MapLine } from './haproxy-maps.ts'

/** HAProxy keeps its counters in 32 bits: this or more is no limit. */
const NO_LIMIT = 2_000_000_000
const MARK = 'curfew'
const MAX_VALUE_LENGTH = 8_192

/**
 * How HAProxy holds an envelope: `curfew.<until ms>.<in flight>.<requests>.<records>.<bytes>.<id>.<payload>` at the
 * key of the subject, in a map of its own beside the rules. The payload names the caller, so that it can be listed.
 * Null for a caller that HAProxy does not know.
 */
export function encodeEnvelope({ id, principal, limits, until }: Envelope): HaproxyEntry | null {
  const subject = subjectOf(principal)
  if (subject === null || !/^env_[0-9a-f]{1,64}$/.test(id)) return null
  const counted = ENVELOPE_LIMITS.map((name) => Math.min(NO_LIMIT, limits[name] ?? NO_LIMIT))
  const payload = JSON.stringify([principal.id, principal.label])
  const end = Math.floor(until)
  const value = [MARK, end, ...counted, id, Buffer.from(payload, 'utf8').toString('base64url')].join('.')
  const key = haproxySubjectKey(subject.iss, subject.sub)
  return value.length > MAX_VALUE_LENGTH ? null : { map: 'envelopes', key, value }
}

/** The envelope that an entry was made from; null when it is not ours. One that somebody edited counts as ended. */
export function decodeEnvelope(entry: HaproxyEntry): Envelope | null {
  const fields = entry.value.split('.')
  const [mark, until, inFlight, requests, records, bytes, id = '', payload = ''] = fields
  if (mark !== MARK || fields.length !== 8) return null
  const principal = principalOf(payload)
  if (principal === null) return null
  const limits: EnvelopeLimits = {
    inFlight: Number(inFlight),
    requestsPer10s: Number(requests),
    recordsPer10min: limitOf(records),
    bytesPer10min: limitOf(bytes),
  }
  const envelope: Envelope = { id, principal, limits, until: wallTime(Number(until)) }
  const again = encodeEnvelope(envelope)
  const isIntact = again?.key === entry.key && again.value === entry.value
  return isIntact ? envelope : { ...envelope, until: wallTime(0) }
}

function limitOf(text: string | undefined): number | null {
  const limit = Number(text)
  return limit >= NO_LIMIT ? null : limit
}

function principalOf(payload: string): Principal | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
  } catch {
    return null
  }
  if (!Array.isArray(parsed) || parsed.length !== 2) return null
  const [id, label] = parsed as unknown[]
  if (typeof id !== 'string' || typeof label !== 'string') return null
  return { kind: 'sub', id, label, verified: true }
}

/** The envelopes of one HAProxy process that runs samples/haproxy/curfew.cfg; see there for how it counts. */
export class HaproxyEnvelopes implements EnvelopeHolder {
  readonly name: string
  readonly inProcess = false
  readonly counts = ENVELOPE_LIMITS
  private readonly maps: HaproxyMaps
  private changed = false

  constructor(options: { readonly name: string; readonly socketPath: string; readonly mapFolder: string }) {
    this.name = options.name
    this.maps = new HaproxyMaps(options.socketPath, options.mapFolder)
  }

  knows(principal: Principal): boolean {
    return subjectOf(principal) !== null
  }

  async list(stop: AbortSignal): Promise<readonly Envelope[]> {
    return (await this.entries(stop)).map(({ envelope }) => envelope)
  }

  async put(envelope: Envelope, stop: AbortSignal): Promise<void> {
    const entry = encodeEnvelope(envelope)
    if (entry === null)
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.name}: HAProxy cannot hold ${envelope.id}`)
    this.changed = true
    await this.maps.upsert(entry, stop)
  }

  async remove(ids: ReadonlySet<string>, stop: AbortSignal): Promise<void> {
    for (const { line, envelope } of await this.entries(stop)) {
      if (!ids.has(envelope.id)) continue
      this.changed = true
      await this.maps.remove(line, stop)
    }
  }

  /** Writes the map file, once for all that has changed. */
  async settle(stop: AbortSignal): Promise<void> {
    if (!this.changed) return
    await this.maps.persist('envelopes', stop)
    this.changed = false
  }

  private async entries(stop: AbortSignal): Promise<readonly { line: MapLine; envelope: Envelope }[]> {
    const lines = await this.maps.ofEnvelopes(stop)
    return lines.flatMap((line) => {
      const envelope = isOurs(line.value) ? decodeEnvelope(line) : null
      return envelope === null ? [] : [{ line, envelope }]
    })
  }
}
