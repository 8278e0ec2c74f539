import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { lockFolder } from '../../../files/folder-lock.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-lock-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the lock of a folder', () => {
  it('keeps a second store out until the first closes', async () => {
    const store = await openEmbeddedStore({ folder })
    await expect(openEmbeddedStore({ folder })).rejects.toMatchObject({
      code: 'STORE_FENCED',
      retriable: true,
      message: expect.stringContaining(`process ${process.pid}`),
    })
    await store.close()
    await (await openEmbeddedStore({ folder })).close()
    expect(await readdir(folder)).not.toContain('lock')
  })

  it('is taken over from a dead process', async () => {
    const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' })
    await new Promise((resolve) => child.once('exit', resolve))
    await writeFile(join(folder, 'lock'), `${child.pid}\n${hostname()}\n\n`)
    const unlock = await lockFolder(folder)
    expect((await readFile(join(folder, 'lock'), 'utf8')).split('\n')[0]).toBe(String(process.pid))
    await unlock()
    expect(await readdir(folder)).toEqual([])
  })

  it.runIf(process.platform === 'linux')(
    'is taken over when its number now belongs to a later process',
    async () => {
      await writeFile(join(folder, 'lock'), `${process.pid}\n${hostname()}\nanother-boot 17\n`)
      await (await lockFolder(folder))()
    },
  )

  it('is taken over when it is unreadable', async () => {
    await writeFile(join(folder, 'lock'), '')
    await (await lockFolder(folder))()
  })

  it('is not taken from another host, which cannot be asked', async () => {
    await writeFile(join(folder, 'lock'), '1\nelsewhere\n\n')
    await expect(lockFolder(folder)).rejects.toMatchObject({
      code: 'STORE_FENCED',
      message: expect.stringContaining('on host "elsewhere"'),
    })
  })

  it('lets exactly one of several starters in', async () => {
    await writeFile(join(folder, 'lock'), `999999999\n${hostname()}\n\n`)
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(1)
  })

  it('is taken over although a process died while it took it over', async () => {
    const gone = `999999999\n${hostname()}\n\n`
    await writeFile(join(folder, 'lock'), gone)
    const claim = createHash('sha256').update(gone).digest('hex').slice(0, 16)
    await writeFile(join(folder, `lock.${claim}`), `999999998\n${hostname()}\n\n`)
    const unlock = await lockFolder(folder)
    expect(await readdir(folder)).toEqual(['lock'])
    await unlock()
  })

  it('is held by one process at a time, whoever dies and whoever starts', async () => {
    for (let round = 0; round < 30; round++) {
      await writeFile(join(folder, 'lock'), `999999999\n${hostname()}\n\n${round}\n`)
      const starters = Array.from({ length: 12 }, (_, i) => sleep(i % 3).then(() => lockFolder(folder)))
      const unlocks = (await Promise.allSettled(starters)).flatMap((r) =>
        r.status === 'fulfilled' ? [r.value] : [],
      )
      expect(unlocks.length).toBe(1)
      await unlocks[0]!()
      expect(await readdir(folder)).toEqual([])
    }
  })
})
