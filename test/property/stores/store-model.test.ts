import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { type Actor, expectModel } from '../../contracts/stores/model-steps.ts'

describe('the embedded store', () => {
  it.each([150, 1_000, 1_000_000])(
    'does what the model does in any order, across reopening and compaction from %i bytes on',
    async (minLogBytes) => {
      await expectModel(async () => {
        const folder = await mkdtemp(join(tmpdir(), 'curfew-model-'))
        const actor: Actor = {
          store: await openEmbeddedStore({ folder, minLogBytes }),
          owners: [],
          reopen: async () => {
            await actor.store.close()
            return await openEmbeddedStore({ folder, minLogBytes })
          },
        }
        const dispose = async () => {
          await actor.store.close()
          await rm(folder, { recursive: true, force: true })
        }
        return { actor, dispose }
      }, 25)
    },
    60_000,
  )
})
