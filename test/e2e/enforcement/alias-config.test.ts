import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { type Enforcement, openEnforcement } from '../../../cli/build-enforcement.ts'
import { openStore } from '../../../cli/build-storage.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import type { Config } from '../../../cli/config/schema.ts'
import { wallTime } from '../../../core/time.ts'
import { PROFILE_PREFIX } from '../../../engine/partition-state.ts'
import { StoredPartition } from '../../property/engine/stored-partition.ts'
import { call, DAY_MS, MONDAY } from '../../scenarios/engine/traffic.ts'
import { quietLogger, sampleDecision } from '../../services/decision-ledger.ts'
import { kongDescription } from '../../services/kong-description.ts'
import { FakeKong } from '../../services/kong-fake.ts'
import { CONSUMER, SUBJECT } from '../../unit/enforcement/alias-rig.ts'

describe('a configuration with a caller of two names', () => {
  let folder: string
  let kong: FakeKong
  let store: StateStore
  let config: Config
  let enforcement: Enforcement
  let stop: AbortController

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
    config = loaded.config
    store = await openStore(config, quietLogger)
    stop = new AbortController()
  })

  function opened(on: StateStore): Promise<Enforcement> {
    const never = () => undefined
    return openEnforcement(
      {
        ...{ config, store: on, partitions: 1, maxTrafficShare: () => 0.01, logger: quietLogger },
        ...{ clock: { now: () => wallTime(Date.now()) }, random: () => 0.5, knownPrincipals: () => 1_000 },
        ...{ isAllowed: () => null, planned: () => null, onChange: never, onLeak: never, answered: never },
        observer: { operation: never, lag: never },
        safety: {
          ...{ latched: () => null, liftsAll: () => false, keepsUnknownRules: () => false },
          liftFirst: async () => undefined,
        },
      },
      stop.signal,
    )
  }

  afterEach(async () => {
    stop.abort()
    await enforcement?.close()
    await store?.close()
    await kong?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const about = (id: string, gateway: string) =>
    sampleDecision({
      ...{ id, incident: id, action: 'block', limit: null, evidenceAt: Date.now(), principal: CONSUMER },
      scope: { kind: 'principal', principal: CONSUMER },
      gateway: { kind: 'kong', id: gateway },
    })

  const ask = async () => {
    const claims = { iss: 'https://idp.test/realm', sub: 'orders-svc', jti: 'j', iat: 1, exp: 9_999_999_999 }
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const bearer = `${part({ alg: 'HS256' })}.${part(claims)}.${part({})}`
    const headers = { authorization: `Bearer ${bearer}` }
    return (await fetch(`${enforcement.endpoint!.url}/decide`, { headers })).status
  }

  it('has Kong and the decision endpoint refuse it, whichever saw it, but not on the word of another gateway', async () => {
    enforcement = await opened(store)
    const { enforcer } = enforcement
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

  it('asks a person where the other name is most of what its gateway does', async () => {
    const rows = busySubject()
    const [, profile] = [...rows].find(([key]) => key.startsWith(PROFILE_PREFIX))!
    const read = async (partition: number, keys: readonly string[]) =>
      partition === 0
        ? keys.map((key) => (key.startsWith(PROFILE_PREFIX) ? profile : rows.get(key)))
        : store.read(partition, keys)
    const busy = new Proxy(store, {
      get: (of, key) => {
        const value: unknown = key === 'read' ? read : Reflect.get(of, key)
        return typeof value === 'function' ? value.bind(of) : value
      },
    })
    enforcement = await opened(busy)
    await enforcement.enforcer.accept(about('dec_1', 'kong-log'))
    expect(enforcement.enforcer.view('dec_1')).toMatchObject({
      status: 'awaiting-approval',
      statusReason: expect.stringMatching(/^its other name sub:orders-svc makes \d+ % of the calls/),
    })
    expect([await ask(), kong.plugins.size]).toEqual([200, 0])
  })
})

/** State of a partition in which one subject makes all the calls, 300 a day. */
function busySubject(): ReadonlyMap<string, Uint8Array> {
  const partition = StoredPartition.open(new Map())
  const times = Array.from(
    { length: 1_500 },
    (_, i) => MONDAY + Math.floor(i / 300) * DAY_MS + (i % 300) * 200_000,
  )
  partition.live(
    times.map((time) => ({ kind: 'event', event: call(time, SUBJECT) })),
    [],
  )
  partition.checkpoint()
  return partition.stored
}
