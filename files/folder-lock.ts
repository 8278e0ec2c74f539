import { createHash, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { CurfewError } from '../core/errors.ts'

/** Who holds a folder. The start time tells a process from a later one with the same number. */
interface Holder {
  readonly pid: number
  readonly host: string
  readonly started: string
}

const ATTEMPTS = 8
const MAX_SHOWN = 80

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

async function isAlive(holder: Holder): Promise<boolean> {
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM means that it exists and belongs to somebody else.
    if (codeOf(error) !== 'EPERM') return false
  }
  const started = await startOf(holder.pid)
  return started === '' || holder.started === '' || started === holder.started
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null
}

function inUse(path: string, by: string): CurfewError {
  return new CurfewError('STORE_FENCED', `${path}: the folder is in use by ${by}`, { retriable: true })
}

/** Throws when who is named in a lock may be at work. */
async function refuseIfHeld(path: string, text: string): Promise<void> {
  const holder = parseHolder(text)
  if (holder === null) return
  if (holder.host !== hostname()) {
    const host = JSON.stringify(holder.host.slice(0, MAX_SHOWN))
    throw inUse(path, `process ${holder.pid} on host ${host}; if that is gone, remove this file`)
  }
  if (await isAlive(holder)) throw inUse(path, `process ${holder.pid}`)
}

/** A hard link appears with its content or not at all, and never replaces a file. */
async function place(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw new CurfewError('STORE_UNREACHABLE', `cannot write ${path}`, { cause: error })
  }
}

/**
 * Makes the draft the file at `path`, or throws when somebody at work has it. The text of each lock is unique, and a
 * stale one may be removed only by who holds the claim named after its text. So between the look and the
 * removal nobody can have put a living lock there.
 */
async function take(draft: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await place(draft, path)) return
    const stale = await textOf(path)
    if (stale === null) continue
    await refuseIfHeld(path, stale)
    const claim = `${path}.${createHash('sha256').update(stale).digest('hex').slice(0, 16)}`
    // A claim is a lock too: that of a process that died here is taken over the same way.
    await take(draft, claim)
    try {
      if ((await textOf(path)) === stale) await rm(path, { force: true })
    } finally {
      await rm(claim, { force: true })
    }
  }
  throw inUse(path, 'several processes that are starting')
}

async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw new CurfewError('STORE_UNREACHABLE', `cannot read ${path}`, { cause: error })
  }
}

/**
 * Takes a folder for this process and returns how to give it back. The lock of a dead process on this host
 * is taken over. Throws `STORE_FENCED` (retriable) when a living process has it, or one on another host, which
 * cannot be asked: then the message names the file to remove.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'lock')
  const nonce = randomUUID()
  const draft = `${path}.draft-${nonce}`
  try {
    await mkdir(folder, { recursive: true })
    const text = `${process.pid}\n${hostname()}\n${await startOf(process.pid)}\n${nonce}\n`
    await writeFile(draft, text, { mode: 0o600 })
  } catch (error) {
    throw new CurfewError('STORE_UNREACHABLE', `cannot write ${draft}`, { cause: error })
  }
  try {
    await take(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
  return () => rm(path, { force: true })
}
