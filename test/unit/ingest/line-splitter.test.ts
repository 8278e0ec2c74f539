import { describe, expect, it } from 'vitest'
import { MAX_LINE_BYTES } from '../../../ingest/format.ts'
import { LineSplitter } from '../../../ingest/line-splitter.ts'

function linesOf(text: string, chunkSize: number): [string, boolean][] {
  const splitter = new LineSplitter()
  const lines: [string, boolean][] = []
  const onLine = (bytes: Uint8Array, truncated: boolean) =>
    void lines.push([Buffer.from(bytes).toString(), truncated])
  const bytes = Buffer.from(text)
  for (let p = 0; p < bytes.length; p += chunkSize) splitter.push(bytes.subarray(p, p + chunkSize), onLine)
  splitter.end(onLine)
  return lines
}

describe('LineSplitter', () => {
  it.each([1, 2, 3, 5, 1_000])('finds the same lines in chunks of %d bytes', (size) => {
    expect(linesOf('\ufeffone\r\ntwo\n\n\r\nthrée\nfour', size)).toEqual([
      ['one', false],
      ['two', false],
      ['thrée', false],
      ['four', false],
    ])
  })

  it.each([40_000, 10_000_000])('delivers the start of a long line once, in chunks of %d bytes', (size) => {
    const long = 'x'.repeat(MAX_LINE_BYTES)
    const lines = linesOf(`a\n${long}tail\nb\n${long}\r\n${long}`, size)
    expect(lines.map(([line, cut]) => [line.length, cut])).toEqual([
      [1, false],
      [MAX_LINE_BYTES, true],
      [1, false],
      [MAX_LINE_BYTES, false],
      [MAX_LINE_BYTES, false],
    ])
  })

  it('does not copy lines that lie within a chunk', () => {
    const chunk = Buffer.from('one\ntwo\n')
    new LineSplitter().push(chunk, (line) => expect(line.buffer).toBe(chunk.buffer))
  })

  it('keeps a held line when the caller reuses its chunk', () => {
    const splitter = new LineSplitter()
    const lines: string[] = []
    const chunk = Buffer.from('abc')
    splitter.push(chunk, () => undefined)
    chunk.fill('z')
    splitter.end((line) => lines.push(Buffer.from(line).toString()))
    expect(lines).toEqual(['abc'])
  })
})
