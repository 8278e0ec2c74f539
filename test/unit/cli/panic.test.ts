import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { DECISIONS_MAP, DENY_LIST_MAP } from '../../../cli/build-enforcement.ts'
import { decisionLedger, denyListMap } from '../../../cli/ledgers.ts'
import { removeRules } from '../../../cli/rule-removal.ts'
import { SharedMap } from '../../../cli/shared-map.ts'
import { CurfewError } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { textMapDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { KongGateway } from '../../../enforcement/gateways/kong.ts'
import { runCommand } from '../../services/command-run.ts'
import { sampleDecision } from '../../services/decision-ledger.ts'
import { FakeKong } from '../../services/kong-fake.ts'

const NOW = Date.parse('2026-11-23T03:04:00.000Z')
const CONSUMERS = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'] as const
const stop = new AbortController().signal

let folder: string
let kongs: FakeKong[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-panic-'))
  kongs = [new FakeKong({ description: null }), new FakeKong({ description: null })]
  for (const kong of kongs) {
    for (const consumer of CONSUMERS) kong.consumers.add(consumer)
    await kong.start()
  }
})
afterEach(async () => {
  for (const kong of kongs) await kong.stop()
  await rm(folder, { recursive: true, force: true })
})

function block(id: string, consumer: string, until: number): Rule {
  const principal = { kind: 'consumer', id: consumer, label: `c-${id}`, verified: true } as const
  return { id, action: 'block', scope: { kind: 'principal', principal }, limit: null, until: wallTime(until) }
}

async function put(kong: FakeKong, ...rules: Rule[]): Promise<void> {
  const gateway = new KongGateway({ name: 'k', adminUrl: kong.url })
  for (const rule of rules) await gateway.put(rule, stop)
}

async function configuration(extra = ''): Promise<string> {
  const path = join(folder, 'curfew.yaml')
  const gateways = kongs
    .map((kong, i) => `    - { kind: kong, name: kong-${i + 1}, adminUrl: "${kong.url.origin}" }\n`)
    .join('')
  await writeFile(
    path,
    `store:\n  kind: embedded\n  folder: ${join(folder, 'state')}\nenforcement:\n  folder: ${join(folder, 'enforcement')}\n  gateways:\n${gateways}${extra}`,
  )
  return path
}

const FOREIGN = {
  id: '99999999-9999-4999-8999-999999999999',
  name: 'request-termination',
  config: { status_code: 503 },
}

describe('curfew panic', { timeout: 30_000 }, () => {
  it('lifts everything of ours at every gateway and touches nothing else', async () => {
    kongs[0]!.plant(FOREIGN)
    await put(
      kongs[0]!,
      block('dec_1', CONSUMERS[0], NOW + 60_000),
      block('dec_2', CONSUMERS[1], NOW + 60_000),
    )
    await put(kongs[1]!, block('dec_3', CONSUMERS[0], NOW + 60_000))
    const { code, out } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(out).toMatch(/kong-1\s+dec_1\s+block\s+consumer:c-dec_1\s+2026-11-23T03:05:00.000Z\s+removed/)
    expect(out).toMatch(/kong-1\s+2 removed, none left/)
    expect(out).toMatch(/kong-2\s+1 removed, none left/)
    expect(code).toBe(0)
    expect([...kongs[0]!.plugins.keys()]).toEqual([FOREIGN.id])
    expect(kongs[1]!.plugins.size).toBe(0)
  })

  it('changes nothing in a dry run, and says with 1 that something stands', async () => {
    await put(kongs[0]!, block('dec_1', CONSUMERS[0], NOW + 60_000))
    const { code, out } = await runCommand(['panic', '--dry-run', '--config', await configuration()], NOW)
    expect(out).toContain('would be removed')
    expect(code).toBe(1)
    expect(kongs[0]!.plugins.size).toBe(1)
    expect(
      (
        await runCommand(
          ['panic', '--dry-run', '--gateway', 'kong-2', '--config', await configuration()],
          NOW,
        )
      ).code,
    ).toBe(0)
  })

  it('goes on at the others when one gateway does not answer', async () => {
    await put(kongs[1]!, block('dec_3', CONSUMERS[0], NOW + 60_000))
    await kongs[0]!.fail('status-500')
    const { code, out } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(code).toBe(1)
    expect(out).toMatch(/kong-1\s+cannot be asked: GATEWAY_/)
    expect(out).toMatch(/kong-2\s+1 removed, none left/)
    expect(kongs[1]!.plugins.size).toBe(0)
  })

  it('empties the deny list and ends the decisions that a restart would enforce again', async () => {
    const store = await openEmbeddedStore({ folder: join(folder, 'state') })
    const denied = await SharedMap.open(store, DENY_LIST_MAP)
    await textMapDenyStore(denyListMap(denied)).put(block('dec_1', CONSUMERS[0], NOW + 60_000), stop)
    const decisions = await SharedMap.open(store, DECISIONS_MAP)
    const standing = {
      status: 'in-force',
      statusReason: null,
      issuedAt: NOW,
      until: NOW + 60_000,
      approved: false,
    } as const
    await decisionLedger(decisions).save({
      ...standing,
      decision: sampleDecision({ evidenceAt: NOW }),
      startedAt: [],
      receipts: [],
    })
    const path = await configuration('    - { kind: decision, name: deny-list }\n')
    const locked = await runCommand(['panic', '--config', path], NOW)
    expect(locked.code).toBe(1)
    expect(locked.out).toContain('deny-list: skipped, the deny list is in that store; stop Curfew and repeat')
    await store.close()
    const { code, out } = await runCommand(['panic', '--config', path], NOW)
    expect(out).toMatch(/deny-list\s+1 removed, none left/)
    expect(out).toContain('1 decisions ended')
    expect(code).toBe(0)
    const after = await openEmbeddedStore({ folder: join(folder, 'state') })
    const entries = await decisionLedger(await SharedMap.open(after, DECISIONS_MAP)).load()
    expect(entries.map((e) => [e.status, e.statusReason])).toEqual([['released', 'curfew panic']])
    expect((await after.readLines('audit', 0, 10)).map(({ body }) => JSON.parse(body))).toMatchObject([
      { action: 'enforcement.lift', reason: 'curfew panic' },
    ])
    await after.close()
  })

  it('names the gateway that was meant', async () => {
    const { code, err } = await runCommand(
      ['panic', '--gateway', 'kong-3', '--config', await configuration()],
      NOW,
    )
    expect(code).toBe(2)
    expect(err).toContain('the configuration has no gateway "kong-3"; did you mean `kong-1`?')
  })
})

describe('curfew sweep', () => {
  it('removes what is over and leaves what still holds', async () => {
    await put(
      kongs[0]!,
      block('dec_1', CONSUMERS[0], NOW - 1_000),
      block('dec_2', CONSUMERS[1], NOW + 60_000),
    )
    const path = await configuration('    - { kind: decision, name: deny-list }\n')
    const { code, out } = await runCommand(['sweep', '--config', path], NOW)
    expect(code).toBe(0)
    expect(out).toMatch(/kong-1\s+1 removed, none left/)
    expect(out).toMatch(/kong-2\s+no expired rules of ours there/)
    expect(out).toContain('deny-list: entries of the deny list end by themselves')
    const left = await new KongGateway({ name: 'k', adminUrl: kongs[0]!.url }).list(stop)
    expect(left.map((rule) => rule.id)).toEqual(['dec_2'])
  })
})

describe('removing rules', () => {
  const stubborn = (remove: () => Promise<void>): GatewayAdapter => ({
    name: 'stubborn',
    kind: 'test',
    can: [],
    list: async () => [block('dec_1', CONSUMERS[0], NOW)],
    put: async () => undefined,
    remove,
    check: async () => undefined,
  })

  it('looks again and does not believe a gateway that says it is done', async () => {
    const [removal] = await removeRules([stubborn(async () => undefined)], () => true, false)
    expect(removal).toMatchObject({ clean: false, rules: [{ result: 'is still there' }] })
  })

  it('tells why a rule could not be removed', async () => {
    const refuse = async () => {
      throw new CurfewError('GATEWAY_CONFLICT', 'edited by hand')
    }
    const [removal] = await removeRules([stubborn(refuse)], () => true, false)
    expect(removal).toMatchObject({ clean: false, rules: [{ result: 'GATEWAY_CONFLICT: edited by hand' }] })
  })
})
