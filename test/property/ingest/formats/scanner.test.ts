import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Format, SourceSettings } from '../../../../ingest/format.ts'
import { canonical, canonicalReader } from '../../../../ingest/formats/canonical.ts'
import { jsonFormat } from '../../../../ingest/formats/json-format.ts'
import { ShapeBuilder } from '../../../../ingest/formats/json-shape.ts'
import { walkLine } from '../../../../ingest/formats/json-walk.ts'
import { kong, kongReader } from '../../../../ingest/formats/kong.ts'
import { partition } from '../../../scenarios/engine/traffic.ts'
import { LineFeed } from '../../../scenarios/identity/engine-lines.ts'
import { anonymousObject, parsed, RECEIVED_AT, SETTINGS } from '../../../unit/ingest/formats/kong-line.ts'
import { damaged, kongText } from './lines.ts'

const BUSY: SourceSettings = {
  ...SETTINGS,
  tenantField: 'workspace_name',
  principal: { order: ['sub', 'consumer', 'key'], issuers: new Map() },
  records: { headers: ['x-total-count'], contentRange: true, field: 'latencies.kong', bytesPerRecord: 300 },
}

/** A line is either scanned or read strictly; whichever it is must not show. */
function agree(fast: Format, strict: Format, bytes: Buffer): void {
  for (const settings of [SETTINGS, BUSY])
    expect(parsed(fast, bytes, settings)).toEqual(parsed(strict, bytes, settings))
}

describe('the scanner', () => {
  it('agrees with the strict parser on any Kong line, whole or damaged', () => {
    const strict = jsonFormat(kongReader, 'strict')
    fc.assert(
      fc.property(damaged(kongText), (bytes) => agree(kong, strict, bytes)),
      { numRuns: 1_500 },
    )
  }, 60_000)

  it('agrees with the strict parser on any bytes', () => {
    const strict = jsonFormat(kongReader, 'strict')
    const bytes = fc.oneof(
      fc.json().map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b)),
    )
    fc.assert(
      fc.property(bytes, (b) => agree(kong, strict, b)),
      { numRuns: 1_000 },
    )
  }, 60_000)

  it('agrees with the strict parser on canonical lines', () => {
    const strict = jsonFormat(canonicalReader, 'strict')
    const line = fc.record(
      {
        time: fc.constantFrom<unknown>(1_795_453_200_000, '2026-11-23T17:00:00.000Z', 'x', -1),
        principal: fc.record({
          kind: fc.constantFrom('sub', 'ip', 'x'),
          id: fc.oneof(fc.string(), fc.constant('1.2.3.4')),
          verified: fc.boolean(),
        }),
        clientIp: fc.constantFrom<unknown>('192.0.2.1', '::1', 7, null),
        method: fc.constantFrom<unknown>('GET', 5),
        path: fc.webPath(),
        status: fc.constantFrom<unknown>(200, 404, -1, 'x'),
        parents: fc.array(fc.string()),
        token: fc.record(
          { sub: fc.string(), scopes: fc.array(fc.string()), exp: fc.nat() },
          { requiredKeys: [] },
        ),
        latencyMs: fc.double(),
      },
      { requiredKeys: ['time', 'principal', 'method', 'path'] },
    )
    const text = line.map((object) => JSON.stringify(object))
    fc.assert(
      fc.property(damaged(text), (bytes) => agree(canonical, strict, bytes)),
      { numRuns: 1_000 },
    )
  }, 60_000)
})

describe('the careful walk', () => {
  const shape = new ShapeBuilder().build()
  it('accepts exactly the objects that JSON.parse accepts', () => {
    const accepts = (text: string): boolean => {
      try {
        const value: unknown = JSON.parse(text)
        return typeof value === 'object' && value !== null && !Array.isArray(value)
      } catch {
        return false
      }
    }
    fc.assert(
      fc.property(damaged(kongText), (bytes) => {
        const text = bytes.toString('utf8')
        expect(walkLine(text, shape).damage === null).toBe(accepts(text))
      }),
      { numRuns: 1_500 },
    )
  }, 60_000)
})

describe('any bytes', () => {
  const bytes = fc.oneof(
    damaged(kongText),
    fc.uint8Array({ maxLength: 400 }).map((b) => Buffer.from(b)),
  )
  const receipt = fc.constantFrom(RECEIVED_AT, Number.NaN)

  it('make no format throw, disappear, or date a call at will', () => {
    const inArray = fc
      .tuple(bytes, bytes)
      .map(([a, b]) => Buffer.concat([buffer('['), a, buffer(','), b, buffer(']')]))
    fc.assert(
      fc.property(fc.oneof(bytes, inArray), receipt, (line, receivedAt) => {
        for (const format of [kong, canonical]) {
          const { events, rejections } = parsed(format, line, SETTINGS, receivedAt)
          expect(events.length + rejections.length > 0 || line.toString('latin1').trim() === '[]').toBe(true)
          for (const { time } of events) {
            expect(time).toBeGreaterThan(Number.isNaN(receivedAt) ? 0 : receivedAt - 8 * 86_400_000)
            expect(time).toBeLessThanOrEqual(
              Number.isNaN(receivedAt) ? 4_102_444_800_000 : receivedAt + 120_000,
            )
          }
        }
      }),
      { numRuns: 1_000 },
    )
  }, 60_000)

  it('give a partition no reason to stop', () => {
    const engine = partition()
    const feed = new LineFeed(kong, SETTINGS, engine)
    fc.assert(
      fc.property(bytes, receipt, (line, receivedAt) => void feed.line(line, receivedAt)),
      { numRuns: 1_000 },
    )
    expect(engine.book.openCount).toBeGreaterThan(0)
  }, 60_000)

  it('turned away as unauthenticated name nobody', () => {
    const refused = kongText.map((text) => {
      const object = JSON.parse(text) as Record<string, unknown>
      return Buffer.from(JSON.stringify({ ...object, source: 'kong', response: { status: 401 } }))
    })
    fc.assert(
      fc.property(refused, (line) => {
        for (const { principal, token, credential } of parsed(kong, line).events)
          expect([principal.kind, token, credential]).toEqual(['ip', null, null])
      }),
      { numRuns: 500 },
    )
  }, 60_000)
})

function buffer(text: string): Buffer {
  return Buffer.from(text)
}

describe('damage', () => {
  it('in a line that names nobody never names anybody but its address', () => {
    const line = fc.constant(JSON.stringify(anonymousObject()))
    fc.assert(
      fc.property(line, fc.nat(2_000), fc.nat(255), fc.boolean(), (text, at, byte, cut) => {
        const bytes = Buffer.from(text)
        bytes[at % bytes.length] = byte
        for (const { principal } of parsed(kong, cut ? bytes.subarray(0, at) : bytes).events) {
          expect([principal.kind, principal.verified]).toEqual(['ip', false])
        }
      }),
      { numRuns: 500 },
    )
  }, 60_000)
})
