import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { looksSecret, scrubText } from '../../../ingest/scrub.ts'

/** Pieces of what secrets, addresses and harmless ids are made of. */
const piece = fc.oneof(
  fc.constantFrom(
    'eyJ',
    'eyJhbGci',
    'bearer ',
    'Basic ',
    'token=',
    'apikey=',
    'sig=',
    '@',
    '%40',
    '＠',
    '.test',
    '"key":"',
  ),
  fc.constantFrom(
    'a',
    'Z',
    '7',
    '-',
    '_',
    '.',
    ':',
    '/',
    '~',
    '+',
    '=',
    '%',
    '"',
    ' ',
    'ord',
    'deadbeefcafedeadbeefcafe',
    '1234',
    'x'.repeat(12),
  ),
  fc.string({ maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 4 }),
)
const text = fc.array(piece, { maxLength: 9 }).map((pieces) => pieces.join(''))

const PLAIN = /^(?:[\d.:TZ-]{1,40}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-7][0-9A-HJKMNP-TV-Z]{25})$/i

describe('what looks like a secret', () => {
  it('is at least what scrubbing would take out, whatever shortcut says otherwise', () => {
    let secrets = 0
    fc.assert(
      fc.property(text, (t) => {
        if (t.length < 6 || scrubText(t) === t) return
        secrets++
        // Numbers, dates, UUIDs and ULIDs are left alone although a long one is scrubbed from free text.
        if (PLAIN.test(t)) return
        expect(looksSecret(t)).toBe(true)
      }),
      { numRuns: 5_000 },
    )
    expect(secrets).toBeGreaterThan(500)
  })

  it('is not a short word that says nothing', () => {
    for (const word of ['ord_1234567', 'customer-17', 'v1.2.3', 'a/b/c/d/e/f', '2026-11-23T03:00:00Z'])
      expect([word, looksSecret(word)]).toEqual([word, false])
  })
})
