import { cp, mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { stateStoreContract } from './state-store-contract.ts'
import type { StoreUnderTest } from './store-check.ts'

/** Length of the newest log of partition 2, where the contract cuts. */
async function logOf(folder: string): Promise<{ readonly path: string; readonly size: number }> {
  const names = (await readdir(join(folder, 'partition-2'))).filter((name) => name.startsWith('log-'))
  const path = join(folder, 'partition-2', names.sort().at(-1)!)
  return { path, size: (await stat(path)).size }
}

async function embeddedSubject(minLogBytes: number): Promise<StoreUnderTest> {
  const base = await mkdtemp(join(tmpdir(), 'curfew-embedded-'))
  let folder = join(base, '0')
  let copies = 0
  const open = () => openEmbeddedStore({ folder, minLogBytes })
  const store = await open()
  let current: StateStore = store
  return {
    store,
    reopen: async () => {
      await current.close()
      current = await open()
      return current
    },
    cut: async (commit, moment) => {
      const before = (await logOf(folder)).size
      await commit()
      const after = (await logOf(folder)).size
      const next = join(base, String(++copies))
      await cp(folder, next, { recursive: true })
      await rm(join(next, 'lock'))
      folder = next
      if (after > before)
        await truncate((await logOf(folder)).path, before + Math.round(moment * (after - before)))
      await current.close()
      current = await open()
      return current
    },
    dispose: async () => {
      await current.close()
      await rm(base, { recursive: true, force: true })
    },
  }
}

stateStoreContract({ name: 'embedded', make: () => embeddedSubject(64 * 1024 * 1024) })
stateStoreContract({
  name: 'embedded, compacting all the time',
  make: async () => {
    const { cut: _cut, ...subject } = await embeddedSubject(200)
    return subject
  },
})
