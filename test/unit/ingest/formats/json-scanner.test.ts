import { describe, expect, it } from 'vitest'
import { ABSENT, ARRAY, NULL, NUMBER, OBJECT, TEXT } from '../../../../ingest/formats/json-fields.ts'
import { JsonScanner } from '../../../../ingest/formats/json-scanner.ts'
import { MAX_SLOTS, ShapeBuilder } from '../../../../ingest/formats/json-shape.ts'
import { kongPlan } from '../../../../ingest/formats/kong-fields.ts'
import { TextTable } from '../../../../ingest/formats/text-table.ts'
import { kongObject, SETTINGS } from './kong-line.ts'

const builder = new ShapeBuilder()
const a = builder.slot('a')
const b = builder.slot('b')
const bc = builder.slot('b', 'c')
const shape = builder.build()
const scanner = () => new JsonScanner(new TextTable(4, 1))
const scan = (text: string): JsonScanner | null => {
  const s = scanner()
  return s.scan(Buffer.from(text), shape) ? s : null
}

describe('JsonScanner', () => {
  it('takes an ordinary Kong line, indented or with escaped slashes, without the strict parser', () => {
    const plan = kongPlan(SETTINGS)
    for (const text of [
      JSON.stringify(kongObject()),
      JSON.stringify(kongObject(), null, 2),
      JSON.stringify(kongObject()).replaceAll('/', '\\/'),
    ]) {
      expect(scanner().scan(Buffer.from(text), plan.shape)).toBe(true)
    }
  })

  it('finds watched members by kind', () => {
    const s = scan('{"x":[1,{"a":2}],"a":"te\\"xt\\u0041","b":{"c":-1.5e2,"a":1}}')
    expect([s?.kind(a), s?.kind(b), s?.kind(bc)]).toEqual([TEXT, OBJECT, NUMBER])
    expect([s?.text(a), s?.number(bc)]).toEqual(['te"xtA', -150])
    expect(scan('{"a":null}')?.kind(a)).toBe(NULL)
    expect(scan('{"a":[1]}')?.kind(a)).toBe(ARRAY)
    expect(scan('{"a":[1,"x"]}')?.value(a)).toEqual([1, 'x'])
    expect(scan('{}')?.kind(a)).toBe(ABSENT)
  })

  it.each([
    '{"a":1,"a":1}',
    '{"a":1',
    '{"a":01}',
    '{"a":.5}',
    '{"a":1.}',
    '{"a":+1}',
    '{"a":tru}',
    '{"a":nulL}',
    '{"a":"\u0001"}',
    '{"a":"é"}',
    '{"a":"\\x"}',
    '{"a":"\\u12"}',
    '{"\\u0061":1}',
    '{"a":1}}',
    '{"a":1},',
    '{"a":1,}',
    '{,}',
    '{"a"}',
    '{"a":}',
    '{"x":[1,]}',
    '{"x":{"y":1,}}',
    `{"x":${'['.repeat(64)}${']'.repeat(64)}}`,
    '[{"a":1}]',
    '"a"',
    '',
    '{"x":"',
    '{"x":"abc\\',
    '{"x":NaN}',
  ])('leaves %s to the strict parser', (text) => {
    expect(scan(text)).toBeNull()
  })

  it('reads lines of one buffer at any offset alike', () => {
    const text = JSON.stringify({ a: 'some text of some length', b: { c: 1 } })
    for (let offset = 0; offset < 9; offset++) {
      const bytes = Buffer.from(`${'"'.repeat(offset)}${text}"""`).subarray(offset, offset + text.length)
      const s = scanner()
      expect([s.scan(bytes, shape), s.text(a), s.number(bc)]).toEqual([true, 'some text of some length', 1])
    }
  })

  it('takes a bounded number of fields', () => {
    const many = new ShapeBuilder()
    for (let i = 1; i < MAX_SLOTS; i++) many.slot(`f${i}`)
    expect(() => many.slot('one more')).toThrow(RangeError)
  })
})

describe('TextTable', () => {
  it('gives the right text although places are shared', () => {
    const table = new TextTable(1, 7)
    const words = Array.from({ length: 50 }, (_, i) => `word-${i}`)
    const bytes = Buffer.from(words.join(''))
    for (let round = 0; round < 3; round++) {
      let start = 0
      for (const word of words) {
        expect(table.find(bytes, start, start + word.length).text).toBe(word)
        start += word.length
      }
    }
  })
})
