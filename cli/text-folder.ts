import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TextMap } from '../enforcement/gateways/deny-list-store.ts'

const FIELD = /^[A-Za-z0-9_-]{1,64}$/
const ENDING = '.json'
let sequence = 0

/**
 * A durable map of texts in a folder of its own, one file per entry, so that commands and a running Curfew never
 * overwrite one another's entries. Fields are ids of decisions.
 */
export function textFolder(folder: string): TextMap {
  const path = (field: string): string => {
    if (!FIELD.test(field)) throw new Error('an entry has a name that is no file name')
    return join(folder, field + ENDING)
  }
  const made = () => mkdir(folder, { recursive: true, mode: 0o700 })
  return {
    entries: async () => {
      await made()
      const found: [string, string][] = []
      for (const name of (await readdir(folder)).sort()) {
        const field = name.slice(0, -ENDING.length)
        if (!name.endsWith(ENDING) || !FIELD.test(field)) continue
        const text = await readFile(join(folder, name), 'utf8').catch(absent)
        if (text !== null) found.push([field, text])
      }
      return found
    },
    set: async (field, text) => {
      await made()
      const temporary = `${path(field)}.${process.pid}.${sequence++}`
      const file = await open(temporary, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, path(field))
      await synced(folder)
    },
    delete: async (field) => {
      await rm(path(field), { force: true })
      await synced(folder)
    },
    ping: async () => {
      await made()
      await readdir(folder)
    },
  }
}

/** A name in a folder is durable once the folder is. */
async function synced(folder: string): Promise<void> {
  const file = await open(folder, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Somebody removed the entry after its name was read. */
function absent(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
  throw error
}
