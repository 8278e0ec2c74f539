import { isIPv4 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressOf } from '../../../ingest/principal-address.ts'

const octets = fc.array(fc.oneof(fc.nat(300).map(String), fc.constantFrom('00', '01', '', '1e1')), {
  minLength: 3,
  maxLength: 5,
})

describe('an IPv4 address', () => {
  it('is what node:net takes for one', () => {
    const text = fc.oneof(
      octets.map((parts) => parts.join('.')),
      fc.stringMatching(/^[0-9.]{1,16}$/),
    )
    fc.assert(
      fc.property(text, (t) => {
        expect(addressOf(t)?.ip ?? null).toBe(isIPv4(t) ? t : null)
      }),
      { numRuns: 2_000 },
    )
  })
})
