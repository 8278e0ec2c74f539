import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { verifyAudit } from '../../../cli/audit-chain.ts'
import { openAuditLog } from '../../../cli/audit-log.ts'
import { AuditSubjects } from '../../../cli/audit-subjects.ts'
import { Forgetting } from '../../../cli/forgetting.ts'
import { nameSearch } from '../../../cli/name-search.ts'
import { openSettingsKeeper } from '../../../cli/settings-keeper.ts'
import { SharedMap } from '../../../cli/shared-map.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import { runCommand } from '../../services/command-run.ts'
import { eventually, HandClock, quietLogger } from '../../services/decision-ledger.ts'

const KEY = new TextEncoder().encode('a test key')
const clock = new HandClock(Date.parse('2026-11-23T03:04:00.000Z'))
const principal = { kind: 'consumer', id: '6f1c', label: 'cnry-svc', verified: true } as const
const ALICE = { tenant: 'default', principal }

let folder: string
let store: StateStore
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-forgetting-'))
  store = await openEmbeddedStore({ folder: join(folder, 'state') })
  await store.open(0)
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

/** Beside the engine; what it does to others is noted. */
async function open() {
  const map = await SharedMap.open(store, 4)
  const subjects = new AuditSubjects(map, KEY)
  const audit = await openAuditLog({ store, writer: 'admin', clock, subjects })
  const initial = { values: DEFAULT_SETTINGS, modes: [], allow: [] }
  const settings = await openSettingsKeeper({ store, initial, clock })
  const steps: string[] = []
  const forgetting = new Forgetting({
    ...{ store, map, subjects, audit, settings, clock, logger: quietLogger, identityKey: KEY, partitions: 1 },
    enforcer: {
      views: () => [],
      forgetPrincipal: async () => {
        steps.push('decisions')
        return true
      },
    },
    dispatcher: { forget: async () => void steps.push('told') },
    deadLetters: () => ({ erase: async () => void steps.push('letters') }),
    renew: async () => {
      steps.push('log')
      return () => true
    },
  })
  return { map, settings, forgetting, steps }
}

/** The wish as the owner of the partition takes it. */
async function asked() {
  for (;;) {
    const owned = await store.open(0)
    for (const request of await owned.requests()) {
      await owned.settleRequests([request.id])
      if (request.kind === 'forget') return request
    }
  }
}

const answer = (request: string, outcome = 'done') =>
  JSON.stringify({ request, outcome, incidents: ['inc_1'], partition: 0 })
const actions = async () =>
  (await store.readLines('audit', 0, 100)).map(({ body }) => (JSON.parse(body) as { action: string }).action)

/** Runs until nothing is left of any wish. */
async function runOut(forgetting: Forgetting, map: SharedMap): Promise<void> {
  const stop = new AbortController()
  const running = forgetting.run(stop.signal)
  await eventually(
    () => [...map.entries()].every(([name]) => name.startsWith('key:')),
    'nothing left of the wish',
  )
  stop.abort()
  await running
}

describe('a wish to forget', () => {
  it('asks with no name, answers with what went, and ends with the key destroyed', async () => {
    const { forgetting, map, steps } = await open()
    const answered = forgetting.ask(ALICE, 'op', 'asked for in writing')
    const request = await asked()
    expect(JSON.stringify(request)).not.toMatch(/cnry|6f1c/)
    await forgetting.take(answer(request.id))
    expect(await answered).toMatchObject({
      ok: true,
      value: { request: request.id, judged: true, incidents: 1 },
    })
    await runOut(forgetting, map)
    expect(steps).toEqual(['told', 'decisions', 'log', 'told', 'letters'])
    expect([...map.entries()]).toEqual([])
    expect(await actions()).toEqual(['principal.forget', 'principal.forgotten'])
    expect(verifyAudit(await store.readLines('audit', 0, 10)).problem).toBeNull()
  })

  it('is refused with the engine, keeps the key and is over', async () => {
    const { forgetting, map, steps } = await open()
    const answered = forgetting.ask(ALICE, 'op', 'asked for in writing')
    const request = await asked()
    await forgetting.take(answer(request.id, 'refused'))
    expect(await answered).toMatchObject({ ok: false, why: 'conflict' })
    await runOut(forgetting, map)
    expect(steps).toEqual([])
    expect([...map.entries()].map(([name]) => name.slice(0, 4))).toEqual(['key:'])
    expect(await actions()).toEqual(['principal.forget', 'principal.kept'])
  })

  it.each([
    ['before the engine was asked', false],
    ['when the engine had answered', true],
  ])('goes on after a death %s', { timeout: 20_000 }, async (_, judged) => {
    const first = await open()
    const answered = first.forgetting.ask(ALICE, 'op', 'asked for in writing')
    const request = await asked()
    if (judged) await first.forgetting.take(answer(request.id))
    const second = await open()
    if (!judged) {
      const stop = new AbortController()
      const running = second.forgetting.run(stop.signal)
      const again = await asked()
      expect(again).toEqual(request)
      await second.forgetting.take(answer(again.id))
      stop.abort()
      await running
    }
    await runOut(second.forgetting, second.map)
    expect(second.steps).toContain('letters')
    expect((await actions()).at(-1)).toBe('principal.forgotten')
    await answered
  })

  it('is refused while the settings name it, and takes back old versions that do', async () => {
    const { forgetting, map, settings } = await open()
    const base = { values: DEFAULT_SETTINGS, modes: [] }
    const rule = { tenant: 'default', entity: 'consumer:cnry-svc', reason: 'a migration', expires: null }
    await settings.put({ ...base, allow: [rule] }, 1, 'op', 'a migration', null)
    expect(await forgetting.ask(ALICE, 'op', 'why')).toMatchObject({ ok: false, why: 'conflict' })
    await settings.put({ ...base, allow: [] }, 2, 'op', 'it is over', null)
    const answered = forgetting.ask(ALICE, 'op', 'why')
    const request = await asked()
    await forgetting.take(answer(request.id))
    await answered
    await runOut(forgetting, map)
    expect(JSON.stringify(await store.readLines('settings-history', 0, 100))).not.toContain('cnry')
    expect((await settings.history(10)).map((made) => made.settings.version)).toEqual([3])
  })
})

describe('looking for a name', () => {
  it.each([
    ['GET /v1/CNRY-svc/1', true],
    ['sub=cnry%2Dsvc&id=6f1c', true],
    ['{"name":"cnry-svc"}', true],
    ['xcnry-svc', false],
    ['cnry-svc2', false],
    ['6f1c9', false],
  ])('%s', (text, found) => {
    expect(nameSearch(principal)(text)).toBe(found)
  })

  it('takes a name as it is, whatever it looks like', () => {
    const odd = nameSearch({ ...principal, id: '.*', label: 'a"b(c' })
    expect(odd('anything')).toBe(false)
    expect(odd('x {"name":"a\\"b(c"}')).toBe(true)
    expect(odd('x .* y')).toBe(true)
  })
})

describe('curfew forget', () => {
  it('asks the running Curfew and says what it answers', async () => {
    const seen: string[] = []
    let status = 200
    const server = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        seen.push(`${request.method} ${request.url} ${request.headers.authorization} ${body}`)
        const told =
          status === 200
            ? { request: 'fgt_1', judged: true, incidents: 2 }
            : { error: { code: 'conflict', message: 'decision dec_1 stands' } }
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(told))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const path = join(folder, 'curfew.yaml')
    await writeFile(
      path,
      `admin: { listen: '127.0.0.1:${port}', tokens: [{ name: v, role: viewer, tokenEnv: V }, { name: a, role: admin, tokenEnv: A }] }\n`,
    )
    const env = { V: 'v'.repeat(32), A: 'a'.repeat(32) }
    const words = ['forget', '--config', path, '--reason', 'in writing', 'sub:https://x/alice']
    const done = await runCommand(words, clock.now(), env)
    expect(done, done.err).toMatchObject({ code: 0 })
    expect(done.out).toContain('fgt_1: the profile and 2 incidents are gone')
    status = 409
    const refused = await runCommand(words, clock.now(), env)
    server.close()
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('decision dec_1 stands')
    expect(seen[0]).toBe(
      `POST /v1/principals/default/sub%3Ahttps%3A%2F%2Fx%2Falice/forget Bearer ${env.A} {"reason":"in writing"}`,
    )
  })
})
