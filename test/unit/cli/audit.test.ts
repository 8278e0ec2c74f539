import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { type AuditLine, EMPTY_CHAIN, nextEntry, verifyAudit } from '../../../cli/audit-chain.ts'
import { openAuditLog } from '../../../cli/audit-log.ts'
import { CurfewError } from '../../../core/errors.ts'
import { runCommand } from '../../services/command-run.ts'
import { HandClock } from '../../services/decision-ledger.ts'

const NOW = Date.parse('2026-11-23T03:04:00.000Z')
const clock = new HandClock(NOW)
const change = (target: string) => ({
  actor: 'alice',
  action: 'decision.release',
  target,
  reason: 'a planned export',
})

let folder: string
let store: StateStore
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-audit-'))
  store = await openEmbeddedStore({ folder: join(folder, 'state') })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

/** Lines of two writers in turn, as a store would number them. */
function twoChains(): AuditLine[] {
  let [a, b] = [EMPTY_CHAIN, EMPTY_CHAIN]
  const lines: AuditLine[] = []
  for (let i = 0; i < 4; i++) {
    const [one, two] = [
      nextEntry(a, 'admin', '2026-11-23T03:04:00.000Z', change(`dec_${i}`)),
      nextEntry(b, 'panic', '2026-11-23T03:04:00.000Z', change(`all ${i}`)),
    ]
    a = one
    b = two
    for (const entry of [one, two]) lines.push({ seq: lines.length + 1, body: JSON.stringify(entry) })
  }
  return lines
}

const renumbered = (lines: readonly AuditLine[]) => lines.map(({ body }, i) => ({ seq: i + 1, body }))
const edited = (lines: AuditLine[], at: number, from: string, to: string) =>
  lines.with(at, { seq: at + 1, body: lines[at]!.body.replace(from, to) })

describe('checking the chain', () => {
  it('finds whole chains of several writers whole', () => {
    const verdict = verifyAudit(twoChains())
    expect(verdict).toMatchObject({ entries: 8, problem: null })
    expect([...verdict.heads.keys()]).toEqual(['admin', 'panic'])
  })

  it.each<[string, (lines: AuditLine[]) => readonly AuditLine[], RegExp, number]>([
    ['a changed reason', (l) => edited(l, 2, 'planned', 'secret'), /entry 2 of admin was changed/, 3],
    ['a changed writer', (l) => edited(l, 2, '"admin"', '"other"'), /was changed/, 3],
    ['a missing line', (l) => l.toSpliced(2, 1), /lines 3 to 3 are missing/, 4],
    [
      'a missing line, numbers adjusted',
      (l) => renumbered(l.toSpliced(2, 1)),
      /entries 2 to 2 of admin are missing/,
      4,
    ],
    [
      'a missing first line, numbers adjusted',
      (l) => renumbered(l.slice(1)),
      /entry 2 of admin has no beginning/,
      2,
    ],
    [
      'two lines swapped',
      (l) => renumbered([l[0]!, l[1]!, l[4]!, l[3]!, l[2]!, ...l.slice(5)]),
      /entries 2 to 2 of admin are missing/,
      3,
    ],
    [
      'a line twice',
      (l) => renumbered([...l.slice(0, 3), l[2]!, ...l.slice(3)]),
      /entry 2 of admin stands behind entry 2/,
      4,
    ],
    ['a foreign line', (l) => l.with(3, { seq: 4, body: '{"hello":1}' }), /no audit entry/, 4],
  ])('names %s', (_, damage, what, line) => {
    const { problem } = verifyAudit(damage(twoChains()))
    expect(problem?.what).toMatch(what)
    expect(problem?.line).toBe(line)
  })

  it('names a chain that was built anew behind a change', () => {
    const lines = twoChains()
    const second = JSON.parse(lines[2]!.body) as { entry: number; hash: string }
    const forged = nextEntry(
      { entry: second.entry - 1, hash: 'f'.repeat(64) },
      'admin',
      '2026-11-23T03:04:00.000Z',
      change('dec_1'),
    )
    const { problem } = verifyAudit(lines.with(2, { seq: 3, body: JSON.stringify(forged) }))
    expect(problem?.what).toMatch(/entry 2 of admin does not follow from entry 1/)
  })

  it('checks the rest of a log, and says so', () => {
    expect(verifyAudit(twoChains().slice(3))).toMatchObject({ entries: 5, firstSeq: 4, problem: null })
  })
})

describe('audit log', () => {
  it('goes on where it ended, behind entries of others', async () => {
    const first = await openAuditLog({ store, writer: 'admin', clock })
    await first.append(change('dec_1'))
    await (await openAuditLog({ store, writer: 'panic', clock })).append(change('everything'))
    const again = await openAuditLog({ store, writer: 'admin', clock })
    expect(await again.append(change('dec_2'))).toMatchObject({ seq: 3, entry: 2, writer: 'admin' })
    expect(verifyAudit(await store.readLines('audit', 0, 10)).problem).toBeNull()
    expect(await again.read(1, 1)).toMatchObject([{ seq: 2, target: 'everything' }])
  })

  it('keeps appends that come together in one chain', async () => {
    const log = await openAuditLog({ store, writer: 'admin', clock })
    await Promise.all(Array.from({ length: 20 }, (_, i) => log.append(change(`dec_${i}`))))
    expect(verifyAudit(await store.readLines('audit', 0, 100))).toMatchObject({ entries: 20, problem: null })
  })

  it('lets only the newest process of a name write', async () => {
    const old = await openAuditLog({ store, writer: 'admin', clock })
    const successor = await openAuditLog({ store, writer: 'admin', clock })
    await expect(old.append(change('dec_1'))).rejects.toMatchObject({ code: 'STORE_FENCED' })
    await successor.append(change('dec_2'))
    expect(verifyAudit(await store.readLines('audit', 0, 10))).toMatchObject({ entries: 1, problem: null })
  })

  it('stays whole when it is not known whether an append arrived', async () => {
    let lose: 'before' | 'after' | null = null
    const shaky = Object.assign(Object.create(store) as StateStore, {
      getDocument: (name: string) => store.getDocument(name),
      putDocument: (name: string, version: number, body: string) => store.putDocument(name, version, body),
      readLines: (log: string, after: number, limit: number) => store.readLines(log, after, limit),
      appendLine: async (log: string, body: string) => {
        if (lose !== 'before') await store.appendLine(log, body)
        if (lose !== null) throw new CurfewError('STORE_UNREACHABLE', 'lost', { retriable: true })
        return (await store.readLines(log, 0, 100)).length
      },
    })
    const log = await openAuditLog({ store: shaky, writer: 'admin', clock })
    for (const trouble of ['before', 'after', null] as const) {
      lose = trouble
      if (trouble === null) await log.append(change('kept'))
      else await expect(log.append(change(trouble))).rejects.toThrow('lost')
    }
    const lines = await store.readLines('audit', 0, 10)
    expect(lines.map(({ body }) => (JSON.parse(body) as { target: string }).target)).toEqual([
      'after',
      'kept',
    ])
    expect(verifyAudit(lines).problem).toBeNull()
  })

  it('cuts hostile text and shows its control characters', async () => {
    const log = await openAuditLog({ store, writer: 'admin', clock })
    const reason = `\u001b[2J\u202e${'x'.repeat(5_000)}`
    const entry = await log.append({ actor: 'a\nb', action: 'x', target: 't', reason })
    expect(entry.actor).toBe('a\ufffdb')
    expect(entry.reason).toHaveLength(1_000)
    expect(entry.reason).not.toMatch(/\p{Cc}|\p{Cf}/u)
  })
})

describe('curfew audit verify', () => {
  const config = async () => {
    const path = join(folder, 'curfew.yaml')
    await writeFile(path, `store:\n  kind: embedded\n  folder: ${join(folder, 'state')}\nsources: []\n`)
    return path
  }

  it('0 for a whole log, in the store and as an export', async () => {
    const log = await openAuditLog({ store, writer: 'admin', clock })
    for (let i = 0; i < 3; i++) await log.append(change(`dec_${i}`))
    const path = join(folder, 'audit.ndjson')
    await writeFile(path, (await log.read(0, 10)).map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    const running = await runCommand(['audit', 'verify', '--config', await config()], NOW)
    expect(running).toMatchObject({ code: 2, err: expect.stringContaining('/v1/audit/export') })
    await store.close()
    const stored = await runCommand(['audit', 'verify', '--config', await config()], NOW)
    expect(stored).toMatchObject({ code: 0 })
    expect(stored.out).toContain('the audit log is whole: 3 entries\nadmin: ends at entry 3 with ')
    expect(await runCommand(['audit', 'verify', path], NOW)).toMatchObject({ code: 0, out: stored.out })
  })

  it('1 for a changed export, naming the line', async () => {
    const path = join(folder, 'audit.ndjson')
    const lines = edited(twoChains(), 2, 'planned', 'secret')
    await writeFile(path, lines.map(({ body }) => body).join('\n'))
    const { code, out } = await runCommand(['audit', 'verify', path], NOW)
    expect(code).toBe(1)
    expect(out).toContain('line 3: entry 2 of admin was changed')
  })

  it('1 when the end was cut off', async () => {
    const log = await openAuditLog({ store, writer: 'admin', clock })
    await log.append(change('dec_1'))
    const { version } = await store.getDocument('audit-head/admin')
    await store.putDocument(
      'audit-head/admin',
      version,
      JSON.stringify({ entry: 3, hash: 'a'.repeat(64), line: 3 }),
    )
    await store.close()
    const { code, out } = await runCommand(['audit', 'verify', '--config', await config()], NOW)
    expect(code).toBe(1)
    expect(out).toContain('entries 2 to 3 of admin are missing at the end')
  })

  it('2 without a log, and with two', async () => {
    expect((await runCommand(['audit', 'verify'], NOW)).code).toBe(2)
    expect((await runCommand(['audit', 'verify', '--config', 'a', 'b'], NOW)).code).toBe(2)
    expect((await runCommand(['audit', 'verify', join(folder, 'none')], NOW)).code).toBe(2)
  })
})
