import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { detectFormat, whyUnsure } from '../../../ingest/detect-format.ts'
import { ABOUT } from '../../../ingest/formats/about.ts'
import { FORMAT_NAMES } from '../../../ingest/formats/catalog.ts'
import { GATEWAY_FORMATS } from '../../contracts/ingest/formats/gateway-subjects.ts'
import { OWN_FORMATS } from '../../contracts/ingest/formats/own-subjects.ts'

const SAMPLES = new URL('../../../samples/formats/', import.meta.url)
const bytes = (...lines: string[]) => lines.map((line) => Buffer.from(line))
const linesOf = (text: string) => bytes(...text.trimEnd().split('\n'))

describe('what is told of formats', () => {
  it('covers each of them', () => {
    expect(Object.keys(ABOUT).sort()).toEqual([...FORMAT_NAMES].sort())
  })

  it('names pages that are there', () => {
    const pages = readdirSync(new URL('../../../docs/gateways/', import.meta.url))
    for (const { page } of Object.values(ABOUT))
      if (page !== null) expect(pages).toContain(page.split('/').at(-1))
  })
})

describe('the format of a log', () => {
  it.each(readdirSync(SAMPLES))('is told for %s', (file) => {
    const { format } = detectFormat(linesOf(readFileSync(new URL(file, SAMPLES), 'utf8')))
    expect(`${format}.log`).toBe(file)
  })

  it('is told for the demo of Kong', () => {
    const packed = readFileSync(new URL('../demo/kong-access.ndjson.gz', SAMPLES))
    expect(detectFormat(linesOf(gunzipSync(packed).toString('utf8')).slice(0, 50)).format).toBe('kong')
  })

  it.each([...OWN_FORMATS, ...GATEWAY_FORMATS].map((s) => [s.format.name, s] as const))(
    'is told by one line: %s',
    (name, s) => {
      expect(detectFormat(bytes(s.ordinary))).toEqual({ format: name, fitting: [[name, 1]], lines: 1 })
    },
  )

  it('is told through damage, compression and envelopes', () => {
    const line = GATEWAY_FORMATS.find((s) => s.format.name === 'aws-rest')!.ordinary
    const envelope = JSON.stringify({ messageType: 'DATA_MESSAGE', logEvents: [{ message: line }] })
    expect(detectFormat([gzipSync(envelope)]).format).toBe('aws-rest')
    expect(detectFormat(bytes(line, line, line, line, line.slice(0, 50))).format).toBe('aws-rest')
    expect(detectFormat(bytes(line, line, line, line.slice(0, 50))).format).toBeNull()
  })

  it.each([
    ['nothing', bytes(), 'there are no lines to tell the format by'],
    ['noise', bytes('hello', '{}'), 'none of the first 2 lines has the members of a known format'],
    [
      'two formats',
      bytes(OWN_FORMATS[0]!.ordinary, OWN_FORMATS[1]!.ordinary),
      'the first 2 lines fit no single format (kong 1, canonical 1)',
    ],
  ])('is not guessed from %s', (_, lines, why) => {
    const detection = detectFormat(lines)
    expect(detection.format).toBeNull()
    expect(whyUnsure(detection)).toBe(why)
  })

  it('is not told by members that only stand in texts', () => {
    expect(
      detectFormat(bytes('{"ua":"\\"ts\\":1,\\"client_ip\\":1,\\"request_time_s\\":1"}')).format,
    ).toBeNull()
  })
})
