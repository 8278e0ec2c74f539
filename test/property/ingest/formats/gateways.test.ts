import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Format } from '../../../../ingest/format.ts'
import { FORMATS, MAPPINGS } from '../../../../ingest/formats/catalog.ts'
import { gatewayReader } from '../../../../ingest/formats/gateway-format.ts'
import { jsonFormat } from '../../../../ingest/formats/json-format.ts'
import { SETTINGS } from '../../../contracts/ingest/formats/call.ts'
import { GATEWAY_FORMATS } from '../../../contracts/ingest/formats/gateway-subjects.ts'
import { OWN_FORMATS } from '../../../contracts/ingest/formats/own-subjects.ts'
import { parsed, RECEIVED_AT } from '../../../unit/ingest/formats/kong-line.ts'
import { damaged } from './lines.ts'

const SUBJECTS = [...OWN_FORMATS, ...GATEWAY_FORMATS]
/** Lines of every format, of known and unknown callers, with any text where clients have their say. */
const written = fc
  .tuple(
    fc.constantFrom(...SUBJECTS),
    fc.constantFrom('caller' as const, 'claimed' as const, 'turned away' as const),
    fc.string({ unit: 'binary' }),
    fc.boolean(),
  )
  .map(([s, who, text, raw]) => s.write({ who, agent: text, uri: `/v1/${text}` }, raw && s.template))
const bytes = fc.oneof(
  damaged(written),
  fc.json().map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b)),
)
const receipt = fc.constantFrom(RECEIVED_AT, Number.NaN)

/** Whether an answer keeps what every answer must keep, whatever the bytes were. */
function check(format: Format, line: Buffer, receivedAt: number): void {
  const { events, rejections } = parsed(format, line, SETTINGS, receivedAt)
  const isEmpty = line.toString('latin1').trim() === '' || line.toString('latin1').trim() === '[]'
  expect(events.length + rejections.length > 0 || isEmpty).toBe(true)
  for (const event of events) {
    expect(event.time).toBeGreaterThan(Number.isNaN(receivedAt) ? 0 : receivedAt - 8 * 86_400_000)
    expect(event.time).toBeLessThanOrEqual(
      Number.isNaN(receivedAt) ? 4_102_444_800_000 : receivedAt + 120_000,
    )
    expect(event.principal.verified).toBe(event.principal.kind !== 'ip')
    if (event.refusedBy === 'gateway' && event.status === 401) expect(event.principal.kind).toBe('ip')
    expect(event.path.length).toBeLessThanOrEqual(2_100)
    for (const n of [event.latencyMs, event.requestBytes, event.responseBytes, event.records, event.status])
      expect(n === null || n >= 0).toBe(true)
  }
}

describe('any bytes', () => {
  it('make no format throw, disappear, or say what cannot be', () => {
    fc.assert(
      fc.property(bytes, receipt, (line, receivedAt) => {
        for (const format of FORMATS.values()) check(format, line, receivedAt)
      }),
      { numRuns: 1_500 },
    )
  }, 120_000)

  it('are read the same by the scanner and by the strict parser', () => {
    const pairs = MAPPINGS.map((m) => [FORMATS.get(m.name)!, jsonFormat(gatewayReader(m), 'strict')] as const)
    fc.assert(
      fc.property(bytes, receipt, (line, receivedAt) => {
        for (const [fast, strict] of pairs)
          expect(parsed(fast, line, SETTINGS, receivedAt)).toEqual(parsed(strict, line, SETTINGS, receivedAt))
      }),
      { numRuns: 1_000 },
    )
  }, 120_000)
})
