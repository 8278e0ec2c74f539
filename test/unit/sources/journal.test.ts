import { spawnSync } from 'node:child_process'
import { appendFile, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeFrame, frameSize } from '../../../ingest/journal/frame.ts'
import { Journal, type JournalOptions } from '../../../ingest/journal/journal.ts'

const entry = (text: string) => ({ partition: 0, source: 's', bytes: Buffer.from(text), receivedAt: 1 })
const FIRST = '0000000000000000.segment'

describe('journal', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-journal-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })
  const openJournal = (options: Partial<JournalOptions> = {}) =>
    Journal.open({ folder, idleMs: 50, ...options })
  const segments = async () => (await readdir(folder)).filter((name) => name.endsWith('.segment')).sort()
  const textAt = async (journal: Journal, offset: number) =>
    Buffer.from((await journal.at(0, offset))?.bytes ?? []).toString()

  it('goes on with the next offset after it was closed', async () => {
    const first = await openJournal()
    await first.append([entry('a'), entry('b')])
    await first.close()
    const second = await openJournal()
    expect(second.next).toBe(2)
    await second.append([entry('c')])
    expect(await textAt(second, 2)).toBe('c')
    await second.close()
  })

  it('keeps where a record stood in the log that it came from', async () => {
    const origin = { topic: 'access:log', partition: 3, offset: 9_007_199_254_740_991 }
    const first = await openJournal()
    await first.append([entry('a'), { ...entry('b'), origin }])
    await first.close()
    const second = await openJournal()
    expect(await second.at(0, 0)).not.toHaveProperty('origin')
    expect(await second.at(0, 1)).toMatchObject({ source: 's', origin })
    await second.close()
  })

  it.each([1, 5, 11, 12, 20])('cuts a tail of which %i bytes were written', async (bytes) => {
    const first = await openJournal()
    await first.append([entry('a')])
    await first.close()
    const torn = Buffer.alloc(frameSize(entry('torn record')))
    encodeFrame(torn, 0, entry('torn record'), 47, 0)
    await appendFile(join(folder, FIRST), torn.subarray(0, bytes))
    const second = await openJournal()
    expect(second.next).toBe(1)
    await second.append([entry('b')])
    expect([await textAt(second, 0), await textAt(second, 1)]).toEqual(['a', 'b'])
    await second.close()
  })

  it('refuses to lose a damaged record that was acknowledged', async () => {
    const first = await openJournal()
    await first.append([entry('first')])
    await first.append([entry('second')])
    await first.close()
    const path = join(folder, FIRST)
    const data = await readFile(path)
    data[data.indexOf('first')] = 0x00
    await writeFile(path, data)
    await expect(openJournal()).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    await expect(openJournal()).rejects.toThrow(/0000000000000000\.segment is damaged at byte 16/)
  })

  it('is not fooled by a frame inside a record', async () => {
    const first = await openJournal()
    const fake = Buffer.alloc(frameSize(entry('fake')))
    encodeFrame(fake, 0, entry('fake'), 4_000_000, 0)
    await first.append([{ ...entry(''), bytes: fake }])
    await first.close()
    const handle = await open(join(folder, FIRST), 'r+')
    await handle.truncate((await handle.stat()).size - 1)
    await handle.close()
    const second = await openJournal()
    expect(second.next).toBe(0)
    await second.close()
  })

  it('finds damage in an older segment when it is read', async () => {
    const journal = await openJournal({ segmentBytes: 100 })
    for (let i = 0; i < 6; i += 1) await journal.append([entry(`record ${i}`.padEnd(60))])
    const path = join(folder, FIRST)
    const data = await readFile(path)
    data[data.length - 3] = 0x00
    await writeFile(path, data)
    const owner = { assigned: async () => 0, records: async () => undefined, revoked: async () => undefined }
    await expect(journal.read(owner, new AbortController().signal)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
    })
    await journal.close()
  })

  it('removes whole segments that are released, and says so when they are asked for', async () => {
    const journal = await openJournal({ segmentBytes: 150 })
    for (let i = 0; i < 6; i += 1) await journal.append([entry(`record ${i}`.padEnd(60))])
    expect((await segments()).length).toBe(3)
    await journal.release(0, 2)
    expect(journal.first).toBe(2)
    expect(await journal.at(0, 1)).toBeNull()
    expect((await textAt(journal, 5)).trim()).toBe('record 5')
    const owner = { assigned: async () => 0, records: async () => undefined, revoked: async () => undefined }
    await expect(journal.read(owner, new AbortController().signal)).rejects.toMatchObject({ code: 'LOG_GAP' })
    await journal.release(0, 5)
    expect((await segments()).length).toBe(1)
    await journal.close()
  })

  it('lets everything before a renewal go once that is judged, and keeps the record that a restart compares', async () => {
    const journal = await openJournal()
    await journal.append([entry('a name')])
    await journal.append([entry('another')])
    const bound = await journal.renew()
    expect(bound).toBe(2)
    await journal.release(0, 1)
    expect((await textAt(journal, 1)).trim()).toBe('another')
    await journal.release(0, 2)
    expect(journal.first).toBe(2)
    expect((await segments()).length).toBe(1)
    await journal.renew()
    await journal.append([entry('later')])
    expect((await textAt(journal, 4)).trim()).toBe('later')
    await journal.close()
  })

  it('refuses above its limit, retriably, and takes records again when some were released', async () => {
    const journal = await openJournal({ segmentBytes: 100, maxBytes: 600 })
    const fill = async () => {
      for (;;) await journal.append([entry('x'.repeat(60))])
    }
    await expect(fill()).rejects.toMatchObject({ code: 'LOG_FULL', retriable: true })
    const { next } = journal
    await journal.release(0, next - 1)
    await journal.append([entry('again')])
    expect(await textAt(journal, next)).toBe('again')
    await journal.close()
  })

  it('refuses a record that is too large for good', async () => {
    const journal = await openJournal()
    const huge = { ...entry(''), bytes: new Uint8Array(16_777_217) }
    await expect(journal.append([huge])).rejects.toMatchObject({ code: 'LOG_FULL', retriable: false })
    await journal.close()
  })

  it('reports a full disk and keeps what it has', async () => {
    const journal = await openJournal()
    await journal.append([entry('kept')])
    const handle = await open(join(folder, FIRST), 'r')
    const prototype = Object.getPrototypeOf(handle) as { datasync: () => Promise<void> }
    await handle.close()
    const { datasync } = prototype
    prototype.datasync = () => Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' }))
    try {
      await expect(journal.append([entry('lost')])).rejects.toMatchObject({
        code: 'LOG_FULL',
        retriable: true,
      })
    } finally {
      prototype.datasync = datasync
    }
    await journal.append([entry('after')])
    expect([journal.next, await textAt(journal, 1)]).toEqual([2, 'after'])
    await journal.close()
  })

  it('lets one process in, and takes over from a dead one', async () => {
    const journal = await openJournal()
    await expect(openJournal()).rejects.toMatchObject({ code: 'STORE_FENCED' })
    await journal.close()
    const dead = spawnSync('true').pid
    await writeFile(join(folder, 'lock'), `${dead} 1 x`)
    await (await openJournal()).close()
    await writeFile(join(folder, 'lock'), `${process.pid} 1 another-boot`)
    await (await openJournal()).close()
  })
})
