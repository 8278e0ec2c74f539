import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { verifyAudit } from '../../../cli/audit-chain.ts'
import { openAuditLog } from '../../../cli/audit-log.ts'
import { AuditSubjects } from '../../../cli/audit-subjects.ts'
import { SharedMap } from '../../../cli/shared-map.ts'
import { HandClock } from '../../services/decision-ledger.ts'

const KEY = new TextEncoder().encode('a test key')
const clock = new HandClock(Date.parse('2026-11-23T03:04:00.000Z'))
const principal = { kind: 'consumer', id: '6f1c', label: 'cnry-svc', verified: true } as const
const ALICE = { tenant: 'default', principal }
const BOB = { tenant: 'default', principal: { ...principal, id: 'bob', label: 'bob' } }
const change = { actor: 'op', action: 'decision.release', target: 'dec_1', reason: 'cnry-svc moves house' }

let folder: string
let store: StateStore
let map: SharedMap
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-subjects-'))
  store = await openEmbeddedStore({ folder: join(folder, 'state') })
  map = await SharedMap.open(store, 4)
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

async function open() {
  const subjects = new AuditSubjects(map, KEY)
  return { subjects, audit: await openAuditLog({ store, writer: 'admin', clock, subjects }) }
}

async function destroy(subjects: AuditSubjects): Promise<void> {
  const ref = await subjects.refOf(ALICE)
  await map.change(new Map(), [subjects.entryOf(ALICE)])
  subjects.destroyed(ref)
}

describe('what the audit says about a principal', () => {
  it('is sealed, read with its key, and lost with it while the chain holds', async () => {
    const { subjects, audit } = await open()
    await audit.append(change)
    await audit.append(change, ALICE)
    await audit.append({ ...change, reason: 'bob too' }, BOB)
    const lines = await store.readLines('audit', 0, 10)
    expect(lines[1]!.body).not.toContain('cnry')
    expect(lines[1]!.body).not.toContain('6f1c')
    const [older, sealed, other] = await audit.read(0, 10)
    // Entries of earlier builds, and those about nobody, are shown as they are.
    expect(older).not.toHaveProperty('said')
    expect(sealed).toMatchObject({ said: 'cnry-svc moves house', target: 'dec_1' })
    await destroy(subjects)
    expect((await audit.read(0, 10)).map(({ said }) => said)).toEqual([undefined, null, 'bob too'])
    expect(other).toMatchObject({ said: 'bob too' })
    expect(verifyAudit(await store.readLines('audit', 0, 10))).toMatchObject({ entries: 3, problem: null })
  })

  it('is found again by the next process, and a caller that comes back is another', async () => {
    const first = await open()
    await first.audit.append(change, ALICE)
    const ref = await first.subjects.refOf(ALICE)
    map = await SharedMap.open(store, 4)
    const { subjects, audit } = await open()
    expect(await subjects.refOf(ALICE)).toBe(ref)
    expect((await audit.read(0, 10))[0]).toMatchObject({ said: change.reason })
    await destroy(subjects)
    expect(await subjects.refOf(ALICE)).not.toBe(ref)
    expect((await audit.read(0, 10))[0]).toMatchObject({ said: null })
  })

  it('cannot be put under the reference of another', async () => {
    const { subjects, audit } = await open()
    const { reason } = await audit.append(change, ALICE)
    const forged = reason.replace(await subjects.refOf(ALICE), await subjects.refOf(BOB))
    const [record] = await audit.read(0, 1)
    expect(subjects.opened({ ...record!, reason: forged })).toMatchObject({ said: null })
  })

  it('has left the files of the store once that was scoured', async () => {
    await map.change(new Map([['name', 'cnry-svc']]), [])
    await map.change(new Map(), ['name'])
    const files = async () => {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true })
      const paths = entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name))
      return (await Promise.all(paths.map((path) => readFile(path, 'latin1')))).join()
    }
    expect(await files()).toContain('cnry-svc')
    await store.scour()
    expect(await files()).not.toContain('cnry-svc')
    await map.change(new Map([['name', 'other']]), [])
    await store.close()
    store = await openEmbeddedStore({ folder: join(folder, 'state') })
    map = await SharedMap.open(store, 4)
    expect(map.get('name')).toBe('other')
  })
})
