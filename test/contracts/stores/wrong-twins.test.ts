import { describe, expect, it } from 'vitest'
import { type Flaw, MemoryDisk, MemoryStore } from './memory-store.ts'
import { STATE_STORE_CHECKS, stateStoreContract } from './state-store-contract.ts'
import type { StoreUnderTest } from './store-check.ts'

function memorySubject(flaw: Flaw | null): StoreUnderTest {
  const disk = new MemoryDisk()
  const store = new MemoryStore(disk, flaw)
  return {
    store,
    reopen: async () => new MemoryStore(disk, flaw),
    cut: async (commit, moment) => {
      disk.writesLeft = Math.round(moment * 21)
      await commit().catch(() => undefined)
      disk.writesLeft = Number.POSITIVE_INFINITY
      return new MemoryStore(disk, flaw)
    },
    dispose: async () => undefined,
  }
}

stateStoreContract({ name: 'memory', make: async () => memorySubject(null) })

/** Each wrong twin with the check that must reject it. */
const TWINS: readonly (readonly [Flaw, string])[] = [
  ['position-before-values', 'a commit cut short happened whole or not at all'],
  ['ignores-epoch', 'an earlier owner is fenced in every writing call'],
  ['fences-only-commits', 'an earlier owner is fenced in every writing call'],
  ['ignores-expected-position', 'a commit from another position is refused and changes nothing'],
  ['refused-commit-leaves-values', 'a commit from another position is refused and changes nothing'],
  ['outbox-out-of-order', 'outbox entries keep their order and count up from 1'],
  ['outbox-doubles-ids', 'an outbox id is added once, whoever asks'],
  ['document-without-compare', 'a document changes only from the version that was read'],
  ['forgets-deletes', 'deletes take effect'],
  ['shows-uncommitted', 'readers see all of a commit or nothing of it'],
  ['forgets-outbox-at-reopening', 'everything survives reopening and the epoch goes on'],
  ['forgets-what-was-published', 'the next owner learns how far outputs were made, also behind the position'],
  ['epoch-starts-again', 'everything survives reopening and the epoch goes on'],
  ['prefix-is-a-pattern', 'a scan gives every key with the prefix once and no other'],
  ['keeps-callers-buffers', 'a value is the bytes at the time of the commit'],
  ['lines-start-again', 'everything survives reopening and the epoch goes on'],
  ['requests-never-settle', 'requests wait in order until settled'],
  ['trims-too-much', 'trimming removes up to the bounds and numbers go on'],
  ['scours-what-is-there', 'scouring changes nothing that is there, also not for the next process'],
  ['trims-the-last-line', 'trimming lines keeps the last and all numbers'],
  ['trimmed-lines-renumbered', 'trimming lines keeps the last and all numbers'],
  ['mixes-partitions', 'partitions do not touch each other'],
  ['accepts-any-key', 'keys that not every store can hold are refused'],
  ['never-wakes', 'watchers wake when an outbox grows, until they stop'],
]

describe('the state store contract rejects wrong twins', () => {
  it.each(TWINS)('%s', async (flaw, name) => {
    const check = STATE_STORE_CHECKS.find((candidate) => candidate.name === name)
    expect(check, name).toBeDefined()
    await expect(check!.run(memorySubject(flaw))).rejects.toThrow()
  })
})
