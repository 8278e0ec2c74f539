import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { KongGateway } from '../../../enforcement/gateways/kong.ts'
import { converge } from '../../services/convergence.ts'
import type { Fault } from '../../services/injected-faults.ts'
import { kongDescription, konnectDescription } from '../../services/kong-description.ts'
import { FakeKong } from '../../services/kong-fake.ts'

const CONTROL_PLANE = '9524ec7d-36d9-465d-a8c5-83a3c9390458'
const CONSUMERS = ['1', '2'].map((n) => `${n.repeat(8)}-aaaa-4aaa-8aaa-aaaaaaaaaaaa`)
const THEIRS = 'bbbbbbbb-0000-4000-8000-000000000001'
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function rule(id: string, action: Rule['action'], consumer: number, limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'consumer', id: CONSUMERS[consumer]!, label: 'svc', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_000) }
}
const rules = [
  rule('dec_t', 'throttle', 0, { requests: 10, windowSeconds: 60 }),
  rule('dec_b', 'block', 1),
  rule('dec_k', 'revoke-credential', 0),
]

/** Reads and writes, as Kong's own admin API and as Konnect name them. */
const faults = (change: string): readonly (readonly [RegExp, Fault, number])[] => [
  [/GET \/plugins$/, 'too-many-requests', 2],
  [/GET \/plugins$/, 'server-error', 2],
  [/GET \/plugins$/, 'garbage', 1],
  [/GET \/plugins$/, 'cut-connection', 1],
  [/GET \/plugins\//, 'server-error', 1],
  [/PUT/, 'too-many-requests', 2],
  [/PUT/, 'conflict', 1],
  [/PUT/, 'server-error', 1],
  [/PUT/, 'cut-connection', 1],
  [/PUT/, 'lost-answer', 1],
  [/PUT/, 'ignored', 1],
  [/PUT/, 'late', 1],
  [new RegExp(change), 'lost-answer', 1],
  [new RegExp(change), 'ignored', 1],
  [/DELETE/, 'server-error', 2],
  [/DELETE/, 'lost-answer', 1],
  [/DELETE/, 'ignored', 1],
  [/DELETE/, 'late', 1],
  [/./, 'server-error', 9],
]

async function faulted(
  kong: FakeKong,
  gateway: KongGateway,
  [operation, fault, times]: readonly [RegExp, Fault, number],
) {
  const before = JSON.stringify(kong.state())
  for (const desired of [rules, rules.slice(1), []]) {
    kong.faults.inject(operation, fault, times)
    await converge(gateway, desired)
    const global = kong.plugins.get(THEIRS)
    expect(global?.config).toMatchObject({ minute: 50 })
    if (desired.length === rules.length) {
      // Whoever was limited to 7 per minute stays so: the throttle of 10 loosens nothing.
      const limits = [...kong.plugins.values()].filter(
        (row) => row.name === 'rate-limiting' && row.consumer?.id === CONSUMERS[0],
      )
      expect(limits.map(({ config }) => config.minute)).toEqual([7])
    }
  }
  expect(JSON.stringify(kong.state())).toBe(before)
  expect(kong.violations).toEqual([])
}

function plant(kong: FakeKong): void {
  kong.plant({ id: THEIRS, name: 'rate-limiting', config: { minute: 50 } })
  const consumer = { id: CONSUMERS[0]! }
  const own = { id: THEIRS.replace(/1$/, '2'), name: 'rate-limiting', consumer, tags: ['team-a'] }
  kong.plant({ ...own, config: { minute: 7, limit_by: 'ip' } })
}

describe('faults of Kong’s control planes', { timeout: 60_000 }, () => {
  it.each(faults('PATCH'))('admin API: %s, %s, %i times', async (...of) => {
    const kong = new FakeKong({ description: kongDescription(), pageSize: 2 })
    for (const consumer of CONSUMERS) kong.consumers.add(consumer)
    await kong.start()
    closing.push(() => kong.stop())
    plant(kong)
    await faulted(kong, new KongGateway({ name: 'kong', adminUrl: kong.url }), of)
  })

  it.each(faults('PUT .*2$'))('Konnect: %s, %s, %i times', async (...of) => {
    const kong = new FakeKong({ description: konnectDescription(), pageSize: 2, controlPlane: CONTROL_PLANE })
    for (const consumer of CONSUMERS) kong.consumers.add(consumer)
    await kong.start()
    closing.push(() => kong.stop())
    plant(kong)
    const options = { name: 'kong', adminUrl: kong.url, adminToken: 'pat', controlPlane: CONTROL_PLANE }
    await faulted(kong, new KongGateway(options), of)
  })

  it.each([
    [/GET \/plugins$/, 'too-many-requests', 1],
    [/GET \/plugins$/, 'too-many-requests', 4],
    [/GET \/plugins$/, 'server-error', 1],
    [/GET \/plugins$/, 'server-error', 4],
    [/GET \/plugins$/, 'garbage', 1],
    [/GET \/plugins$/, 'garbage', 3],
    [/GET \/plugins$/, 'cut-connection', 1],
    [/GET \/plugins$/, 'cut-connection', 3],
    [/GET \/plugins$/, 'lost-answer', 1],
    [/GET \/plugins$/, 'lost-answer', 3],
    [/GET \/plugins$/, 'conflict', 1],
    [/./, 'server-error', 9],
  ] as const)('a file: %s, %s, %i times', async (operation, fault, times) => {
    const folder = await mkdtemp(join(tmpdir(), 'curfew-kong-'))
    const path = join(folder, 'curfew.json')
    const kong = new FakeKong({ description: kongDescription(), database: 'off', loads: path })
    for (const consumer of CONSUMERS) kong.consumers.add(consumer)
    await kong.start()
    closing.push(async () => {
      await kong.stop()
      await rm(folder, { recursive: true, force: true })
    })
    kong.plant({ id: THEIRS, name: 'rate-limiting', config: { minute: 7 } })
    const fragment = { path, appliedWithinMs: 60_000 }
    const gateway = new KongGateway({ name: 'kong', adminUrl: kong.url, fragment })
    for (const desired of [rules, rules.slice(1), []]) {
      kong.faults.inject(operation, fault, times)
      await converge(gateway, desired)
      const limits = [...kong.plugins.values()].filter(({ name }) => name === 'rate-limiting')
      expect(limits.every(({ config }) => config.minute === 7)).toBe(true)
    }
    expect([...kong.plugins.keys()]).toEqual([THEIRS])
    expect(kong.violations).toEqual([])
  })
})
