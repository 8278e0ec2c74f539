import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { CurfewError } from '../../core/errors.ts'
import { quoted } from './limits.ts'

/** Who holds a folder. The start time tells a process from a later one with the same number. */
interface Holder {
  readonly pid: number
  readonly host: string
  readonly started: string
}

/** Boot and start time of a process, where the system tells (Linux: field 22 of /proc/PID/stat). */
async function startOf(pid: number): Promise<string> {
  try {
    const [boot, stat] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ])
    // The command name in parentheses may contain spaces; 20 fields lie between it and the start time.
    return `${boot.trim()} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`
  } catch {
    return ''
  }
}

function parseHolder(text: string): Holder | null {
  const [pid, host, started] = text.split('\n')
  if (pid === undefined || host === undefined || started === undefined || !/^\d{1,10}$/.test(pid)) return null
  return { pid: Number(pid), host, started }
}

async function alive(holder: Holder): Promise<boolean> {
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM means that it exists and belongs to somebody else.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  const started = await startOf(holder.pid)
  return started === '' || holder.started === '' || started === holder.started
}

function inUse(path: string, by: string): CurfewError {
  return new CurfewError('STORE_CONFLICT', `${path}: the folder is in use by ${by}`, { retriable: true })
}

/** Moves a lock whose holder is gone out of the way. */
async function clear(path: string, stale: string): Promise<void> {
  const aside = `${path}.stale-${process.pid}`
  try {
    await rename(path, aside)
  } catch {
    return
  }
  const moved = await readFile(aside, 'utf8')
  if (moved !== stale) {
    // Another process took the folder between the look and the move: give its lock back.
    await link(aside, path).catch(() => undefined)
    await rm(aside, { force: true })
    throw inUse(path, 'a process that has just started')
  }
  await rm(aside, { force: true })
}

/**
 * Takes a folder for this process and returns how to give it back. The lock of a dead process on this host
 * is taken over. Throws `STORE_CONFLICT` when a living process has it, or one on another host, which cannot
 * be asked: then the message names the file to remove.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true })
  const path = join(folder, 'lock')
  const text = `${process.pid}\n${hostname()}\n${await startOf(process.pid)}\n`
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = await open(path, 'wx')
      await handle.writeFile(text)
      await handle.close()
      return () => rm(path, { force: true })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
        throw new CurfewError('STORE_UNREACHABLE', `cannot write ${path}`, { cause: error })
      }
    }
    const stale = await readFile(path, 'utf8').catch(() => '')
    const holder = parseHolder(stale)
    if (holder !== null && holder.host !== hostname()) {
      throw inUse(
        path,
        `process ${holder.pid} on host ${quoted(holder.host)}; if that is gone, remove this file`,
      )
    }
    if (holder !== null && (await alive(holder))) throw inUse(path, `process ${holder.pid}`)
    await clear(path, stale)
  }
  throw inUse(path, 'several processes that are starting')
}
