import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CurfewError } from '../../core/errors.ts'
import { decodeFrame, provesLoss } from './frame.ts'

/** One file of the journal. Its name is the offset of its first record. */
export interface Segment {
  readonly path: string
  readonly first: number
  /** Where the checksums of the frames start from. */
  readonly seed: number
  /** Bytes known to be on disk; grows while the segment is written. */
  size: number
}

const MAGIC = 'curfewj1'
export const HEADER_BYTES = 16
const NAME = /^(\d{16})\.segment$/

/** Segment file names in a folder, oldest first. */
export async function listSegments(folder: string): Promise<readonly { path: string; first: number }[]> {
  const found = (await readdir(folder)).flatMap((name) => {
    const digits = NAME.exec(name)?.[1]
    return digits === undefined ? [] : [{ path: join(folder, name), first: Number(digits) }]
  })
  return found.sort((a, b) => a.first - b.first)
}

/** Makes names of the folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Creates an empty segment, durable with its name. The handle is open for appending. */
export async function createSegment(
  folder: string,
  first: number,
): Promise<{ segment: Segment; handle: FileHandle }> {
  const path = join(folder, `${String(first).padStart(16, '0')}.segment`)
  const header = Buffer.alloc(HEADER_BYTES)
  header.write(MAGIC, 0, 'latin1')
  const seed = randomBytes(4).readUInt32LE(0)
  header.writeUInt32LE(seed, 8)
  const handle = await open(path, 'w', 0o600)
  try {
    await handle.write(header, 0, HEADER_BYTES, 0)
    await handle.sync()
    await syncFolder(folder)
  } catch (error) {
    await handle.close()
    throw error
  }
  return { segment: { path, first, seed, size: HEADER_BYTES }, handle }
}

/** Opens a segment that must be whole; null when its header never got to the disk. */
export async function openSegment(entry: { path: string; first: number }): Promise<Segment | null> {
  const handle = await open(entry.path, 'r')
  try {
    const header = Buffer.alloc(HEADER_BYTES)
    const { bytesRead } = await handle.read(header, 0, HEADER_BYTES, 0)
    if (bytesRead < HEADER_BYTES || header.every((byte) => byte === 0)) return null
    if (header.toString('latin1', 0, 8) !== MAGIC) throw corrupt(entry.path, 0, 'it is no journal segment')
    return { ...entry, seed: header.readUInt32LE(8), size: (await stat(entry.path)).size }
  } finally {
    await handle.close()
  }
}

/** The error for a journal that cannot be trusted; needs a person. */
export function corrupt(path: string, position: number, problem: string): CurfewError {
  return new CurfewError(
    'STORE_CORRUPT',
    `journal segment ${path} is damaged at byte ${position}: ${problem}`,
  )
}

/**
 * Reads the newest segment from front to back. What stands behind the last intact record is a torn tail,
 * unless it was acknowledged before. Returns the number of records and where they end.
 */
export async function recoverSegment(segment: Segment): Promise<{ records: number; end: number }> {
  const data = await readFile(segment.path)
  let records = 0
  let end = HEADER_BYTES
  for (;;) {
    const frame = decodeFrame(data, end, segment.first + records, segment.seed)
    if (frame === null) break
    records += 1
    end += frame.size
  }
  if (end < data.length && provesLoss(data, end, segment.seed)) {
    throw corrupt(segment.path, end, `record ${segment.first + records} was acknowledged and cannot be read`)
  }
  return { records, end }
}
