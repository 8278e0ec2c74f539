import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../../core/event.ts'
import { eventTime } from '../../../../core/time.ts'
import { decodeInternal, encodeInternal, isReadBackAlike } from '../../../../ingest/formats/internal.ts'

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('"', '\\', 'a\u0000b', ''),
)
const orNull = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null })
const amount = fc.nat(Number.MAX_SAFE_INTEGER)

const event: fc.Arbitrary<AccessEvent> = fc.record({
  id: text,
  time: fc.integer({ min: 0, max: 4e12 }).map(eventTime),
  receivedAt: fc.nat(4_000_000_000),
  tenant: text,
  principal: fc.oneof(
    fc.record({
      kind: fc.constantFrom('consumer', 'sub', 'app', 'key', 'account'),
      id: text,
      label: text,
      verified: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('ip'), id: text, label: text, verified: fc.constant(false) }),
  ),
  parents: fc.array(text, { maxLength: 3 }),
  token: orNull(
    fc.record({
      iss: orNull(text),
      sub: orNull(text),
      jti: orNull(text),
      iat: orNull(amount),
      exp: orNull(amount),
      scopes: fc.array(text, { maxLength: 3 }),
    }),
  ),
  credential: orNull(text),
  clientIp: orNull(text),
  userAgent: orNull(text),
  method: text,
  route: text,
  path: text,
  objectIds: fc.array(text, { maxLength: 5 }),
  status: orNull(fc.nat(999)),
  latencyMs: orNull(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map((ms) => ms + 0)),
  requestBytes: orNull(amount),
  responseBytes: orNull(amount),
  records: orNull(amount),
  recordsFrom: fc.constantFrom('header', 'field', 'estimate', 'none'),
  refusedBy: fc.constantFrom('gateway', 'upstream', 'curfew', null),
  gateway: fc.record({ kind: text, id: text }),
  source: fc.record({ topic: text, partition: fc.nat(), offset: amount, index: fc.nat() }),
})

/** One member with something that JSON may not hold. */
function oddity(e: AccessEvent, which: number, amount: number, word: string): Partial<AccessEvent> {
  const oddities: readonly Partial<AccessEvent>[] = [
    { time: eventTime(amount) },
    { receivedAt: amount },
    { status: amount },
    { latencyMs: amount },
    { requestBytes: amount },
    { responseBytes: amount },
    { records: amount },
    { source: { ...e.source, offset: amount } },
    { token: { iss: word, sub: null, jti: null, iat: amount, exp: null, scopes: [] } },
    { principal: { kind: 'ip', id: word, label: word, verified: amount > 0 } },
    { userAgent: word },
    { objectIds: [word] },
    { gateway: { kind: word, id: '' } },
  ]
  return oddities[which]!
}

describe('the record of the internal topic', () => {
  it('gives back exactly the event that was written', () => {
    fc.assert(
      fc.property(event, (e) => void expect(decodeInternal(encodeInternal(e), 1)).toEqual(e)),
      { numRuns: 1_000 },
    )
  })

  it('says beforehand whether it will be exactly that, for numbers and texts that JSON cannot hold too', () => {
    const number = fc.oneof(fc.double(), fc.constantFrom(0, -0, 1))
    const odd = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('a\ud800', '\udfffb', '\\ud800', '\u{1f600}'),
    )
    const changed = fc
      .tuple(event, fc.array(fc.tuple(fc.nat(12), number, odd), { maxLength: 2 }))
      .map(([e, changes]) => ({
        ...e,
        ...Object.assign({}, ...changes.map((change) => oddity(e, ...change))),
      }))
    let alike = 0
    fc.assert(
      fc.property(changed, (e) => {
        const bytes = encodeInternal(e)
        if (!isReadBackAlike(e, bytes)) return
        alike++
        expect(decodeInternal(bytes, 1)).toEqual(e)
      }),
      { numRuns: 2_000 },
    )
    expect(alike).toBeGreaterThan(200)
  })

  it('says so of every usual event, and not of a line that is too long', () => {
    fc.assert(
      fc.property(event, (e) => {
        const backslash = JSON.stringify(e).includes('\\ud')
        expect(isReadBackAlike(e, encodeInternal(e))).toBe(!backslash)
      }),
    )
    const [e] = fc.sample(event, 1)
    const long = { ...e!, path: 'x'.repeat(1_048_576) }
    expect(isReadBackAlike(long, encodeInternal(long))).toBe(false)
  })

  it('takes the given time of receipt where the event had none', () => {
    fc.assert(
      fc.property(
        event,
        (e) =>
          void expect(decodeInternal(encodeInternal({ ...e, receivedAt: Number.NaN }), 7)?.receivedAt).toBe(
            7,
          ),
      ),
      { numRuns: 20 },
    )
  })

  it('is null for anything else, and never throws', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        (bytes) => void expect(decodeInternal(bytes, 1)).toBeNull(),
      ),
    )
    fc.assert(
      fc.property(event, fc.nat(5_000), (e, cut) => {
        const bytes = encodeInternal(e)
        const half = bytes.subarray(0, Math.min(cut, bytes.length - 1))
        expect(decodeInternal(half, 1)).toBeNull()
      }),
    )
  })
})
