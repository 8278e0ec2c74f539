import { describe, expect, it } from 'vitest'
import { NUMBER, TEXT } from '../../../../ingest/formats/json-fields.ts'
import { JsonScanner } from '../../../../ingest/formats/json-scanner.ts'
import { ShapeBuilder } from '../../../../ingest/formats/json-shape.ts'
import { TextTable } from '../../../../ingest/formats/text-table.ts'

const builder = new ShapeBuilder()
const STATUS = builder.slot('response', 'status')
const NAME = builder.slot('name')
const shape = builder.build()

const read = (scanner: JsonScanner, text: string) => {
  if (!scanner.scan(Buffer.from(text), shape)) return null
  return {
    status: scanner.kind(STATUS) === NUMBER ? scanner.number(STATUS) : null,
    name: scanner.kind(NAME) === TEXT ? scanner.text(NAME) : null,
  }
}

const USUAL = '{"response":{"status":200,"size":1},"route":{"id":"r"},"name":"a"}'

describe('a scanner that has learnt the order of members', () => {
  it.each([
    ['the same order', USUAL, { status: 200, name: 'a' }],
    ['another order', '{"name":"b","response":{"size":1,"status":404}}', { status: 404, name: 'b' }],
    ['a key that begins alike', '{"response":{"statuz":1},"name":"c"}', { status: null, name: 'c' }],
    ['a key that ends alike', '{"response":{"xtatus":1},"name":"c"}', { status: null, name: 'c' }],
    ['a longer key', '{"response":{"status2":1},"names":"c"}', { status: null, name: null }],
    [
      'space around colons',
      '{"response" : {"status": 1 , "size" :2}, "name" :"d"}',
      { status: 1, name: 'd' },
    ],
    ['an extra member', '{"response":{"status":1},"x":{"status":9},"name":"e"}', { status: 1, name: 'e' }],
    ['an empty key', '{"":1,"name":"f"}', { status: null, name: 'f' }],
    ['an escape in an unread key', '{"route":{"\\u0069d":1},"name":"g"}', { status: null, name: 'g' }],
    ['an escape in a read object', '{"n\\u0061me":"h"}', null],
    ['a watched key twice', '{"name":"a","name":"b"}', null],
    ['a cut at a learnt key', '{"response":{"status":200,"size', null],
    ['a cut behind a learnt key', '{"response":{"status":', null],
  ])('reads %s as one that has learnt nothing', (_, text, expected) => {
    const scanner = new JsonScanner(new TextTable(4, 1))
    for (let i = 0; i < 3; i++) read(scanner, USUAL)
    expect(read(scanner, text)).toEqual(expected)
    expect(read(new JsonScanner(new TextTable(4, 1)), text)).toEqual(expected)
    expect(read(scanner, USUAL)).toEqual({ status: 200, name: 'a' })
  })

  it('reads on after lines with more new keys than it remembers', () => {
    const scanner = new JsonScanner(new TextTable(4, 1))
    for (let line = 0; line < 100; line++) {
      const odd = Array.from({ length: 70 }, (_, i) => `"k${line}-${i}":{"id":${i}}`).join(',')
      expect(read(scanner, `{${odd},"name":"n${line}"}`)?.name).toBe(`n${line}`)
    }
    expect(read(scanner, USUAL)).toEqual({ status: 200, name: 'a' })
  })

  it('keeps the members of two shapes apart', () => {
    const other = new ShapeBuilder()
    const size = other.slot('response', 'size')
    const second = other.build()
    const scanner = new JsonScanner(new TextTable(4, 1))
    for (let i = 0; i < 3; i++) {
      expect(read(scanner, USUAL)).toEqual({ status: 200, name: 'a' })
      expect(scanner.scan(Buffer.from(USUAL), second)).toBe(true)
      expect(scanner.number(size)).toBe(1)
    }
  })
})
