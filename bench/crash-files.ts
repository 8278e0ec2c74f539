import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import type { KillSwitch } from './kill-points.ts'

const HEADER_BYTES = 28
/** Files of partition 0, by what is written to them. */
const LOG = /partition-0\/log-\d+\.bin$/
const SNAPSHOT = /partition-0\/snapshot-\d+\.bin\.tmp$/
const NAMED = /partition-0\/snapshot-\d+\.bin$/
const OLD = /partition-0\/(log|snapshot)-\d+\.bin$/

/**
 * Puts kill points under the embedded store: into the file operations of this process. Needed because they lie
 * within one call of the store.
 */
export async function seamFiles(kill: KillSwitch): Promise<void> {
  const paths = new WeakMap<object, string>()
  const { open, rename, rm } = fs
  Object.assign(fs, {
    open: async (...args: Parameters<typeof open>) => {
      const handle = await open(...args)
      paths.set(handle, String(args[0]))
      return handle
    },
    rename: async (from: string, to: string) => {
      if (NAMED.test(to)) kill.pass('rename-before')
      await rename(from, to)
      if (NAMED.test(to)) kill.pass('rename-after')
    },
    rm: async (...args: Parameters<typeof rm>) => {
      if (OLD.test(String(args[0]))) kill.pass('prune')
      await rm(...args)
    },
  })
  syncBuiltinESMExports()
  const probe = await open('/dev/null')
  seamHandles(Object.getPrototypeOf(probe), (handle) => paths.get(handle) ?? '', kill)
  await probe.close()
}

interface Handle {
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<unknown>
  datasync(): Promise<void>
  truncate(length: number): Promise<void>
}

function seamHandles(prototype: Handle, pathOf: (handle: object) => string, kill: KillSwitch): void {
  const { write, datasync, truncate } = prototype
  /** Where the bytes begin that are not on disk yet. */
  const unsynced = new WeakMap<object, number>()
  Object.assign(prototype, {
    async write(this: Handle, ...args: Parameters<Handle['write']>) {
      const [bytes, offset, length, position] = args
      const path = pathOf(this)
      const point = position < HEADER_BYTES ? null : LOG.test(path) ? 'frame-torn' : 'snapshot-torn'
      if (point === 'frame-torn' && !unsynced.has(this)) unsynced.set(this, position)
      if (point !== null && (LOG.test(path) || SNAPSHOT.test(path)) && kill.isDue(point)) {
        await write.call(this, bytes, offset, Math.ceil(length / 2), position)
        kill.act()
      }
      return write.call(this, ...args)
    },
    async datasync(this: Handle) {
      const from = unsynced.get(this)
      unsynced.delete(this)
      if (from !== undefined && kill.isDue('frame-lost')) {
        await truncate.call(this, from)
        kill.act()
      }
      await datasync.call(this)
      if (from !== undefined) kill.pass('frame-synced')
    },
  })
}
