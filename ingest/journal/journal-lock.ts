import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CurfewError } from '../../core/errors.ts'

const ATTEMPTS = 5

/** Start time of a process in clock ticks; empty where the system does not tell. Tells a reused pid apart. */
async function startTicks(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name in brackets may hold anything, so fields are counted from behind it.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
}

async function identity(pid: number): Promise<string> {
  return `${pid} ${await startTicks(pid)} ${await bootId()}`
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

async function isHeld(text: string): Promise<boolean> {
  const pid = Number(text.split(' ')[0])
  if (!Number.isInteger(pid) || pid <= 0) return false
  return isRunning(pid) && (await identity(pid)) === text
}

/** Keeps a second writer out of a folder. */
export interface FolderLock {
  release(): Promise<void>
}

/**
 * Takes the folder for this process. A lock whose process is gone is taken over; a living one fails with
 * `STORE_FENCED`.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = join(folder, 'lock')
  const mine = await identity(process.pid)
  const draft = join(folder, `lock.${randomUUID()}`)
  await writeFile(draft, mine, { mode: 0o600 })
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      // A hard link appears with its content or not at all, and never replaces a file.
      const taken = await link(draft, path).then(
        () => true,
        () => false,
      )
      if (taken) return { release: () => rm(path, { force: true }) }
      const holder = await readFile(path, 'utf8').catch(() => '')
      if (holder !== '' && (await isHeld(holder))) {
        throw new CurfewError(
          'STORE_FENCED',
          `journal ${folder} is in use by process ${holder.split(' ')[0]}`,
        )
      }
      await discard(path, holder)
    }
    throw new CurfewError('STORE_FENCED', `journal ${folder} could not be locked`, { retriable: true })
  } finally {
    await rm(draft, { force: true })
  }
}

/** Removes a stale lock; if another process was faster its lock is put back. */
async function discard(path: string, holder: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  )
  if (!moved) return
  const text = await readFile(aside, 'utf8')
  if (text !== holder) await link(aside, path).catch(() => undefined)
  await rm(aside, { force: true })
}
