import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { openAuditLog } from '../../../cli/audit-log.ts'
import { openSettingsKeeper } from '../../../cli/settings-keeper.ts'
import type { ConfiguredSettings } from '../../../cli/settings-origin.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import { HandClock } from '../../services/decision-ledger.ts'

const NOW = Date.parse('2026-11-23T03:04:00.000Z')
const DAY = 86_400_000
const FILE: ConfiguredSettings = {
  values: DEFAULT_SETTINGS,
  modes: [{ mode: 'observe' }],
  allow: [{ tenant: 'default', entity: 'consumer:backup', reason: 'nightly', expires: null }],
}

let folder: string
let store: StateStore
let clock: HandClock
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-settings-'))
  store = await openEmbeddedStore({ folder })
  clock = new HandClock(NOW)
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

const open = (initial: ConfiguredSettings = FILE) => openSettingsKeeper({ store, initial, clock })
const values = (changes: Partial<typeof DEFAULT_SETTINGS>) => ({ ...DEFAULT_SETTINGS, ...changes })

describe('settings keeper', () => {
  it('starts from the configuration and finds its settings again', async () => {
    expect((await open()).current()).toEqual({ version: 1, ...FILE })
    expect((await open()).current().version).toBe(1)
    expect(await (await open()).history(10)).toMatchObject([
      { actor: 'configuration', reason: 'first start' },
    ])
  })

  it('starts once when several processes start together', async () => {
    const keepers = await Promise.all([open(), open(), open()])
    expect(keepers.map((k) => k.current().version)).toEqual([1, 1, 1])
    expect(await keepers[0]!.history(10)).toHaveLength(1)
  })

  it('takes what changed in the file and leaves what was tuned', async () => {
    const first = await open()
    const exception = {
      tenant: 'default',
      entity: 'consumer:export',
      reason: 'migration',
      expires: '2026-11-24T00:00:00.000Z',
    }
    const ended = { ...exception, entity: 'consumer:old', expires: '2026-11-22T00:00:00.000Z' }
    const tuned = {
      values: values({ throttleSurprise: 7.5 }),
      modes: FILE.modes,
      allow: [...FILE.allow, exception, ended],
    }
    await first.put(tuned, 1, 'alice', 'quieter', null)
    const second = await open({
      values: values({ holdSeconds: 7_200 }),
      modes: [{ mode: 'enforce' }],
      allow: [],
    })
    expect(second.current()).toEqual({
      version: 3,
      values: values({ throttleSurprise: 7.5, holdSeconds: 7_200 }),
      modes: [{ mode: 'enforce' }],
      allow: [exception],
    })
    expect(await first.refresh()).toEqual(second.current())
  })

  it('keeps exceptions that were made by people when the file changed elsewhere', async () => {
    const first = await open()
    await first.put({ ...FILE, allow: [] }, 1, 'alice', 'no longer needed', null)
    const second = await open({ ...FILE, modes: [{ mode: 'approve' }] })
    expect(second.current()).toMatchObject({ version: 3, modes: [{ mode: 'approve' }], allow: [] })
  })

  it('refuses a change made against another version, across processes', async () => {
    const [one, two] = [await open(), await open()]
    expect(await one.put(FILE, 1, 'alice', 'first', null)).toMatchObject({ version: 2 })
    expect(await two.put(FILE, 1, 'bob', 'second', null)).toBeNull()
    expect(await two.put(FILE, 2, 'bob', 'second', null)).toMatchObject({ version: 3 })
    expect((await one.history(10)).map((v) => [v.settings.version, v.actor])).toEqual([
      [3, 'bob'],
      [2, 'alice'],
      [1, 'configuration'],
    ])
  })

  it('lets exactly one of many changes at once win', async () => {
    const keepers = await Promise.all(Array.from({ length: 5 }, () => open()))
    const results = await Promise.all(
      keepers.map((k, i) =>
        k.put({ ...FILE, values: values({ holdSeconds: 100 + i }) }, 1, `p${i}`, 'race', null),
      ),
    )
    expect(results.filter((r) => r !== null)).toHaveLength(1)
  })

  it('puts a loosening back when its end has come, audited and once', async () => {
    const audit = await openAuditLog({ store, writer: 'admin', clock })
    const keeper = await openSettingsKeeper({ store, initial: FILE, clock, audit })
    const expires = new Date(NOW + DAY).toISOString()
    await keeper.put({ ...FILE, values: values({ throttleSurprise: 12 }) }, 1, 'alice', 'load test', expires)
    expect(await keeper.expireDue(NOW + DAY - 1)).toEqual([])
    expect(await keeper.expireDue(NOW + DAY)).toEqual(['values.throttleSurprise'])
    expect(keeper.current()).toMatchObject({
      version: 3,
      values: { throttleSurprise: DEFAULT_SETTINGS.throttleSurprise },
    })
    expect(await keeper.expireDue(NOW + 2 * DAY)).toEqual([])
    expect(await audit.read(0, 10)).toMatchObject([
      { action: 'settings.configure' },
      { action: 'settings.expire', actor: 'curfew' },
    ])
  })

  it('finds the history line again that a crash kept from being written', async () => {
    await open()
    const document = await store.getDocument('settings')
    const made = {
      ...(JSON.parse(document.body) as object),
      settings: { version: 2, ...FILE },
      actor: 'alice',
      reason: 'crash',
    }
    await store.putDocument('settings', 1, JSON.stringify(made))
    const keeper = await open()
    expect(await keeper.history(10)).toMatchObject([
      { actor: 'alice', reason: 'crash' },
      { actor: 'configuration' },
    ])
    expect(await keeper.version(1)).toEqual({ version: 1, ...FILE })
    expect(await keeper.version(9)).toBeNull()
  })

  it('asks partitions that lag behind, each once per version', async () => {
    const partition = await store.open(5)
    const keeper = await open()
    const asked = async () => (await partition.requests()).map(({ id }) => id)
    expect(await asked()).toEqual(['settings-1'])
    await keeper.put(FILE, 1, 'alice', 'again', null)
    expect(await asked()).toEqual(['settings-1', 'settings-2'])
    await partition.settleRequests(['settings-1', 'settings-2'])
    await keeper.expireDue(NOW)
    expect(await asked()).toEqual([])
    await open()
    expect(await asked()).toEqual(['settings-2'])
  })
})
