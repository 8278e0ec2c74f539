import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Packer, packedLines } from '../../../ingest/packed.ts'
import { call, consumer } from '../../scenarios/engine/traffic.ts'

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

/** Lines per partition, as a reader of the records finds them. */
function readBack(records: ReturnType<Packer['take']>): Map<number, string[]> {
  const found = new Map<number, string[]>()
  for (const { partition, bytes } of records) {
    const lines = [...packedLines(bytes)].map(text)
    found.set(partition, [...(found.get(partition) ?? []), ...lines])
  }
  return found
}

describe('packed records', () => {
  it('hold every line once and in order, whatever its partition', () => {
    const line = fc.record({ partition: fc.nat(3), body: fc.json({ maxDepth: 1 }) })
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const packer = new Packer('kong')
        const expected = new Map<number, string[]>()
        for (const { partition, body } of lines) {
          packer.add(partition, Buffer.from(body), 5, null)
          expected.set(partition, [...(expected.get(partition) ?? []), body])
        }
        const records = packer.take()
        expect(readBack(records)).toEqual(expected)
        expect(records).toHaveLength(expected.size)
        expect(packer.take()).toEqual([])
      }),
    )
  })

  it('are dated by their last line and name their source', () => {
    const packer = new Packer('kong')
    packer.add(1, Buffer.from('{"a":1}'), 10, null)
    packer.add(1, Buffer.from('{"b":2}'), 30, null)
    expect(packer.take()).toEqual([
      { partition: 1, source: 'kong', receivedAt: 30, bytes: Buffer.from('{"a":1}\n{"b":2}') },
    ])
  })

  it('carry their events where every line has one', () => {
    const packer = new Packer('kong')
    const [a, b] = [call(0, consumer('a')), call(0, consumer('b'))]
    packer.add(0, Buffer.from('a'), 1, a)
    packer.add(1, Buffer.from('a'), 1, a)
    packer.add(0, Buffer.from('b'), 1, b)
    packer.add(1, Buffer.from('?'), 1, null)
    packer.add(1, Buffer.from('b'), 1, b)
    expect(packer.take().map(({ partition, events }) => [partition, events])).toEqual([
      [0, [a, b]],
      [1, undefined],
    ])
  })

  it('stay below a quarter of a MiB, but for a line that is longer by itself', () => {
    const packer = new Packer('kong')
    const sizes = [100_000, 100_000, 100_000, 400_000, 10]
    for (const size of sizes) packer.add(0, Buffer.alloc(size, 0x61), 1, null)
    const records = packer.take()
    expect(records.map(({ bytes }) => bytes.length)).toEqual([200_001, 100_000, 400_000, 10])
    expect(
      readBack(records)
        .get(0)
        ?.map((line) => line.length),
    ).toEqual(sizes)
  })
})
