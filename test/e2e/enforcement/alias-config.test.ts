import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { type Enforcement, openEnforcement } from '../../../cli/build-enforcement.ts'
import { openStore } from '../../../cli/build-storage.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import { wallTime } from '../../../core/time.ts'
import { quietLogger, sampleDecision } from '../../services/decision-ledger.ts'
import { kongDescription } from '../../services/kong-description.ts'
import { FakeKong } from '../../services/kong-fake.ts'
import { CONSUMER } from '../../unit/enforcement/alias-rig.ts'

describe('a configuration with a caller of two names', () => {
  let folder: string
  let kong: FakeKong
  let store: StateStore
  let enforcement: Enforcement
  const stop = new AbortController()

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-alias-'))
    kong = new FakeKong({ description: kongDescription() })
    kong.consumers.add(CONSUMER.id)
    await kong.start()
    const loaded = loadConfig(
      `
store: { kind: embedded, folder: ${join(folder, 'state')} }
decisionEndpoint: { listen: "127.0.0.1:0" }
enforcement:
  folder: ${join(folder, 'enforcement')}
  gateways:
    - { kind: kong, name: kong-eu, adminUrl: "${kong.url.href}", onlyFor: [kong-log] }
    - { kind: decision, name: deny, onlyFor: [nginx-log] }
principals:
  aliases:
    - name: orders
      members:
        - { gateway: kong-eu, principal: "consumer:orders", id: ${CONSUMER.id} }
        - { gateway: deny, principal: "sub:orders-svc", issuer: "https://idp.test/realm" }
`,
      { env: () => undefined, file: () => '' },
    )
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const { config } = loaded
    store = await openStore(config, quietLogger)
    enforcement = await openEnforcement(
      {
        ...{
          config,
          store,
          partitions: 1,
          maxTrafficShare: () => 0.01,
          random: () => 0.5,
          logger: quietLogger,
        },
        ...{ clock: { now: () => wallTime(Date.now()) }, knownPrincipals: () => 1_000 },
        ...{ isAllowed: () => null, planned: () => null, onChange: () => undefined, onLeak: () => undefined },
        observer: { operation: () => undefined, lag: () => undefined },
        safety: {
          ...{ latched: () => null, liftsAll: () => false, keepsUnknownRules: () => false },
          liftFirst: async () => undefined,
        },
        answered: () => undefined,
      },
      stop.signal,
    )
  })
  afterEach(async () => {
    stop.abort()
    await enforcement?.close()
    await store?.close()
    await kong?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const ask = async () => {
    const claims = { iss: 'https://idp.test/realm', sub: 'orders-svc', jti: 'j', iat: 1, exp: 9_999_999_999 }
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const bearer = `${part({ alg: 'HS256' })}.${part(claims)}.${part({})}`
    const headers = { authorization: `Bearer ${bearer}` }
    return (await fetch(`${enforcement.endpoint!.url}/decide`, { headers })).status
  }

  it('has Kong and the decision endpoint refuse it, whichever saw it, but not on the word of another gateway', async () => {
    const { enforcer } = enforcement
    const block = { action: 'block', limit: null } as const
    const scope = { kind: 'principal', principal: CONSUMER } as const
    const about = (id: string, gateway: string) =>
      sampleDecision({
        ...{ ...block, id, incident: id, principal: CONSUMER, scope, evidenceAt: Date.now() },
        gateway: { kind: 'kong', id: gateway },
      })
    expect(await ask()).toBe(200)
    await enforcer.accept(about('dec_staging', 'staging'))
    expect(enforcer.view('dec_staging')?.status).toBe('withheld')
    expect(await ask()).toBe(200)
    await enforcer.accept(about('dec_1', 'kong-log'))
    await expect.poll(() => enforcer.view('dec_1')?.status).toBe('in-force')
    expect(enforcer.view('dec_1')?.aliases).toEqual([
      { gateway: 'deny', principal: 'sub:orders-svc', state: 'held' },
    ])
    expect([await ask(), kong.plugins.size]).toEqual([403, 1])
    await enforcer.release('dec_1', 'looked at')
    await expect.poll(async () => [await ask(), kong.plugins.size]).toEqual([200, 0])
    expect(kong.violations).toEqual([])
  })
})
