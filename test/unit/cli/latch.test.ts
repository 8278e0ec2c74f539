import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { requireConfig } from '../../../cli/config/file.ts'
import { LatchKeeper, merged, newLatch, storedLatches, storeLatches } from '../../../cli/latch.ts'
import { LatchFolder, NO_LATCHES } from '../../../cli/latch-folder.ts'
import { resumeLatches } from '../../../cli/resumption.ts'
import { CurfewError } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'
import { runCommand } from '../../services/command-run.ts'

/** The commands work on real files; on a busy machine that takes as long as it takes. */
vi.setConfig({ testTimeout: 60_000 })

const NOW = Date.parse('2026-11-23T03:04:00.000Z')
const latch = newLatch('panic', 'curfew panic', wallTime(NOW))

let base: string
let folder: LatchFolder
let store: StateStore
let audited: string[]
let away: boolean

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'curfew-latch-'))
  folder = new LatchFolder(join(base, 'enforcement'))
  store = await openEmbeddedStore({ folder: join(base, 'state') })
  audited = []
  away = false
})
afterEach(async () => {
  await store.close()
  await rm(base, { recursive: true, force: true })
})

/** A running Curfew, whose store can be taken away. */
function keeper(): LatchKeeper {
  const gone = () => Promise.reject(new CurfewError('STORE_UNREACHABLE', 'away', { retriable: true }))
  const flaky = new Proxy(store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return away ? gone : member.bind(target)
    },
  })
  const audit = async (_: unknown, reason: string) => void audited.push(reason)
  return new LatchKeeper({ folder, store: flaky, audit })
}

describe('a running Curfew', () => {
  it.each(['folder', 'store'] as const)('sees a latch that only the %s has, and copies it', async (place) => {
    const running = keeper()
    await running.sync()
    expect(running.reason()).toBeNull()
    if (place === 'folder') await folder.add(latch)
    else await storeLatches(store, { ...NO_LATCHES, latches: [latch] })
    await running.sync()
    expect(running.reason()).toBe(
      'latched to observe since 2026-11-23T03:04:00.000Z by curfew panic (curfew panic); `curfew resume` ends it',
    )
    expect((await folder.read()).latches).toEqual([latch])
    expect((await storedLatches(store)).latches).toEqual([latch])
  })

  it('is held by the folder alone while the store is away, and by what the store last said', async () => {
    const running = keeper()
    await storeLatches(store, { ...NO_LATCHES, latches: [latch] })
    await running.sync()
    away = true
    const second = newLatch('baselines-lost', 'why', wallTime(NOW + 1))
    await folder.add(second)
    await expect(running.sync()).rejects.toThrow('away')
    expect(
      running
        .active()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([latch.id, second.id].sort())
  })

  it.each(['folder', 'store'] as const)(
    'lets go when the %s says resumed, and no place brings it back',
    async (place) => {
      const running = keeper()
      await folder.add(latch)
      await running.sync()
      if (place === 'folder') await folder.addResumed(latch.id)
      else await storeLatches(store, { ...NO_LATCHES, resumed: [latch.id] })
      await running.sync()
      expect(running.active()).toEqual([])
      for (let again = 0; again < 2; again++) {
        await keeper().sync()
        expect((await folder.read()).latches).toEqual([])
        expect((await storedLatches(store)).latches).toEqual([])
      }
    },
  )

  it('takes a wish to resume only once it is audited', async () => {
    const running = keeper()
    await folder.add(latch)
    await folder.addRequest('1', '2026-11-23T04:00:00.000Z', 'false alarm')
    away = true
    await expect(running.sync()).rejects.toThrow('away')
    expect([running.active().length, audited]).toEqual([1, []])
    away = false
    await running.sync()
    expect([running.active().length, audited]).toEqual([0, ['false alarm']])
    expect((await folder.read()).requests).toEqual([])
  })

  it('is held by a latch file whose content is damaged', async () => {
    await writeFile(join(folder.folder, 'latch-panic-ltc_1.json'), '{"ti')
    const running = keeper()
    await running.sync()
    expect(running.active()).toEqual([
      { id: 'ltc_1', cause: 'panic', time: 'an unknown time', reason: 'the latch file is damaged' },
    ])
  })
})

describe('merging', () => {
  it('keeps no lifted mark and no latch beyond its end', () => {
    const a = { latches: [latch], resumed: [], seen: [latch.id], lifted: [latch.id] }
    expect(merged(a, { ...NO_LATCHES, resumed: [latch.id] })).toEqual({
      latches: [],
      resumed: [latch.id],
      seen: [],
      lifted: [],
    })
  })
})

describe('curfew resume', () => {
  const configuration = async () => {
    const path = join(base, 'curfew.yaml')
    await writeFile(
      path,
      `store: { kind: embedded, folder: ${join(base, 'state')} }\nenforcement: { folder: ${folder.folder} }\n`,
    )
    return path
  }

  it('needs a reason, ends the latch and audits it', async () => {
    await folder.add(latch)
    const config = await configuration()
    expect((await runCommand(['resume', '--config', config], NOW)).code).toBe(2)
    expect((await runCommand(['resume', '--config', config, '--reason', ' '], NOW)).code).toBe(2)
    await store.close()
    const { code, out } = await runCommand(['resume', '--config', config, '--reason', 'false alarm'], NOW)
    expect(out).toContain(`ended ${latch.id}: panic since 2026-11-23T03:04:00.000Z (curfew panic)`)
    expect(code).toBe(0)
    store = await openEmbeddedStore({ folder: join(base, 'state') })
    expect((await store.readLines('audit', 0, 10)).map(({ body }) => JSON.parse(body))).toMatchObject([
      { action: 'enforcement.resume', target: latch.id, reason: 'false alarm', actor: 'command line' },
    ])
    expect((await storedLatches(store)).resumed).toEqual([latch.id])
    expect(await readdir(folder.folder)).toEqual([`resumed-${latch.id}.json`])
  })

  it('leaves the wish to the Curfew that has the store', async () => {
    await folder.add(latch)
    const running = keeper()
    const stop = new AbortController()
    // One look after the other, as a Curfew that runs takes them.
    const looking = (async () => {
      for (; !stop.signal.aborted; await sleep(50)) await running.sync()
    })()
    const { code, out } = await runCommand(
      ['resume', '--config', await configuration(), '--reason', 'false alarm'],
      NOW,
    )
    stop.abort()
    await looking
    expect(out).toContain('Curfew acts again as its settings say')
    expect([code, audited]).toEqual([0, ['false alarm']])
  })

  it('names the latches that a Curfew with the same store ended before the command came to it', async () => {
    await folder.add(latch)
    await store.close()
    class Shared extends LatchFolder {
      override async addRequest(): Promise<void> {
        await this.addResumed(latch.id)
      }
    }
    const config = requireConfig(await configuration(), {}, () => undefined)
    const clock = { now: () => wallTime(NOW) }
    const { ended, waits } = await resumeLatches(config, new Shared(folder.folder), 'false alarm', clock)
    expect([ended, waits]).toEqual([[latch], false])
    store = await openEmbeddedStore({ folder: join(base, 'state') })
  })
})
