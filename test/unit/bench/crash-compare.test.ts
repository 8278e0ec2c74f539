import { describe, expect, it } from 'vitest'
import type { ControlRecord } from '../../../baseline/store.ts'
import { controlFaults } from '../../../bench/crash-compare.ts'
import { chained } from '../../../engine/control-list.ts'
import { encodeEffect } from '../../../engine/control-records.ts'
import { emptySums, encodeSums } from '../../../engine/knowledge.ts'
import { sealKnowledge } from '../../../engine/merged-knowledge.ts'

/** A control list of knowledge: version and the request that each record answers. */
function list(...entries: readonly (readonly [number, string])[]): ControlRecord[] {
  let head = ''
  return entries.map(([version, request], i) => {
    const made = sealKnowledge('known', version, 0, encodeSums(emptySums()))
    const { record, hash } = chained(
      head,
      i,
      'knowledge',
      encodeEffect({ kind: 'knowledge', ...made }),
      request,
    )
    head = hash
    return { ...record, seq: i + 1 }
  })
}

describe('the comparison of crash runs', () => {
  it('finds nothing in versions that go up, one record a request', () => {
    expect(controlFaults(list([1, 'a'], [2, 'b'], [9, 'c']), 0)).toEqual([])
  })

  it('takes a record once whose append was repeated', () => {
    const [first, second] = list([1, 'a'], [2, 'b'])
    expect(controlFaults([first!, { ...first!, seq: 2 }, second!], 0)).toEqual([])
  })

  it('notices a request that became two records', () => {
    expect(controlFaults(list([1, 'a'], [2, 'a']), 3)).toEqual(['partition 3: a became two records'])
  })

  it.each([[1], [2]])('notices version %d behind version 2', (version) => {
    expect(controlFaults(list([2, 'a'], [version, 'b']), 3)).toEqual([
      `partition 3: version ${version} of known came late`,
    ])
  })
})
