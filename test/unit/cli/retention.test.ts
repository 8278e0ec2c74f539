import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { AUDIT_LOG, type AuditLog, openAuditLog } from '../../../cli/audit-log.ts'
import { cutAudit } from '../../../cli/audit-retention.ts'
import { decisionLedger } from '../../../cli/ledgers.ts'
import { applyRetention } from '../../../cli/retention.ts'
import { SharedMap } from '../../../cli/shared-map.ts'
import { DAY_MS } from '../../../core/time.ts'
import { endedAt, type LedgerEntry } from '../../../enforcement/ledger.ts'
import { MemoryDisk, MemoryStore } from '../../contracts/stores/memory-store.ts'
import { runCommand } from '../../services/command-run.ts'
import { HandClock, quietLogger, sampleDecision } from '../../services/decision-ledger.ts'

const START = Date.parse('2026-01-01T00:00:00.000Z')
let clock: HandClock
let folder: string
let store: StateStore
let audit: AuditLog
beforeEach(async () => {
  clock = new HandClock(START)
  folder = await mkdtemp(join(tmpdir(), 'curfew-retention-'))
  store = await openEmbeddedStore({ folder: join(folder, 'state') })
  audit = await openAuditLog({ store, writer: 'admin', clock })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

const change = (target: string) => ({ actor: 'alice', action: 'decision.release', target, reason: 'planned' })
const lines = async () => (await store.readLines(AUDIT_LOG, 0, 1_000)).map(({ seq }) => seq)

/** One entry a day by two writers in turn; the second stops after a week. */
async function days(count: number): Promise<void> {
  const panic = await openAuditLog({ store, writer: 'panic', clock })
  for (let day = 0; day < count; day++) {
    await (day % 2 === 1 && day < 7 ? panic : audit).append(change(`dec_${day}`))
    clock.advance(DAY_MS)
  }
}

/** What `curfew audit verify` says of the folder, which nobody may have open meanwhile. */
async function verify() {
  await store.close()
  const config = join(folder, 'curfew.yaml')
  await writeFile(config, `store:\n  kind: embedded\n  folder: ${join(folder, 'state')}\nsources: []\n`)
  const said = await runCommand(['audit', 'verify', '--config', config], clock.now())
  store = await openEmbeddedStore({ folder: join(folder, 'state') })
  audit = await openAuditLog({ store, writer: 'admin', clock })
  return said
}

describe('the audit log, cut by age', () => {
  it('loses what is too old, says so itself, and what is left verifies from the anchor', async () => {
    await days(30)
    expect(await cutAudit(store, audit, clock.now() - 10 * DAY_MS)).toBe(20)
    expect(await lines()).toEqual(Array.from({ length: 11 }, (_, i) => 21 + i))
    const [cut] = await audit.read(30, 10)
    expect(cut).toMatchObject({ actor: 'curfew', action: 'audit.cut', target: 'lines 1 to 20' })
    const { code, out } = await verify()
    expect(out).toContain('the audit log is whole: 11 entries; lines up to 20 were cut by retention')
    expect(code).toBe(0)
    // A second cut goes on from the first, and a writer that was cut away altogether is not forgotten.
    clock.advance(5 * DAY_MS)
    expect(await cutAudit(store, audit, clock.now() - 10 * DAY_MS)).toBe(5)
    expect((await verify()).out).toContain('panic: ends at entry 3')
  })

  it('shows when more is missing than retention has cut', async () => {
    await days(30)
    await cutAudit(store, audit, clock.now() - 10 * DAY_MS)
    await store.trimLines(AUDIT_LOG, 22)
    const { code, out } = await verify()
    expect(out).toContain('lines 21 to 22 are missing')
    expect(code).toBe(1)
  })

  it('is not cut where the old entries do not hold together', async () => {
    const disk = new MemoryDisk()
    store = new MemoryStore(disk)
    audit = await openAuditLog({ store, writer: 'admin', clock })
    await days(9)
    const stored = disk.logs.get(AUDIT_LOG)!
    stored[1] = { seq: 2, body: stored[1]!.body.replace('dec_1', 'dec_8') }
    await expect(cutAudit(store, audit, clock.now())).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    expect(await lines()).toHaveLength(9)
  })

  it.each(['anchor', 'trim'] as const)('survives a crash before the %s', async (step) => {
    await days(12)
    const away = () => Promise.reject(new Error('killed'))
    const dying = Object.assign(
      Object.create(store) as StateStore,
      step === 'trim'
        ? {
            trimLines: away,
            putDocument: store.putDocument.bind(store),
            readLines: store.readLines.bind(store),
          }
        : { putDocument: away, readLines: store.readLines.bind(store) },
      { getDocument: store.getDocument.bind(store) },
    )
    await expect(cutAudit(dying, audit, clock.now() - 4 * DAY_MS)).rejects.toThrow('killed')
    expect((await lines()).length).toBeGreaterThanOrEqual(12)
    expect((await verify()).code).toBe(0)
    await cutAudit(store, audit, clock.now() - 4 * DAY_MS)
    expect((await lines())[0]).toBe(9)
    expect((await verify()).code).toBe(0)
  })

  it('keeps its last line, however old', async () => {
    await days(3)
    clock.advance(1_000 * DAY_MS)
    expect(await cutAudit(store, audit, clock.now())).toBe(2)
    expect(await lines()).toEqual([3, 4])
  })
})

describe('decisions', () => {
  it('are deleted so long after their hold ended, live ones never', async () => {
    const map = await SharedMap.open(store, 0)
    const ledger = decisionLedger(map)
    const entry = (id: string, status: LedgerEntry['status'], until: number | null): LedgerEntry => ({
      decision: sampleDecision({ id, evidenceAt: START }),
      status,
      statusReason: null,
      issuedAt: START,
      until,
      approved: false,
      startedAt: [],
      receipts: [],
    })
    await ledger.save(entry('dec_old', 'expired', START))
    await ledger.save(entry('dec_observed', 'observed', null))
    await ledger.save(entry('dec_live', 'in-force', START + 1))
    await ledger.save(entry('dec_young', 'released', START + 60 * DAY_MS))
    clock.advance(100 * DAY_MS)
    let told = 0
    const enforcer = {
      forgetEnded: async (before: number) => {
        told = before
        await ledger.forgetEnded((entry) => endedAt(entry) < before)
      },
    }
    const config = { retention: { auditDays: 400, decisionDays: 90 } }
    await applyRetention({ config, store, audit, enforcer, clock, logger: quietLogger })
    expect(told).toBe(START + 10 * DAY_MS)
    expect([...map.entries()].map(([id]) => id).sort()).toEqual(['dec_live', 'dec_young'])
    await map.close()
  })
})
