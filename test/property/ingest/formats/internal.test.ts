import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../../core/event.ts'
import { eventTime } from '../../../../core/time.ts'
import { decodeInternal, encodeInternal } from '../../../../ingest/formats/internal.ts'

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

describe('the record of the internal topic', () => {
  it('gives back exactly the event that was written', () => {
    fc.assert(
      fc.property(event, (e) => void expect(decodeInternal(encodeInternal(e), 1)).toEqual(e)),
      { numRuns: 1_000 },
    )
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
