import { describe, expect, it } from 'vitest'
import { AliasTraffic } from '../../../cli/alias-traffic.ts'
import type { AccessEvent, Principal } from '../../../core/event.ts'
import { StoredPartition } from '../../property/engine/stored-partition.ts'
import { call, consumer, DAY_MS, MONDAY } from '../../scenarios/engine/traffic.ts'
import { quietLogger } from '../../services/decision-ledger.ts'
import { member } from '../enforcement/alias-rig.ts'

const KEY = new TextEncoder().encode('test key')
const [SMALL, LARGE, RARE] = ['small', 'large', 'rare'].map(consumer) as [Principal, Principal, Principal]
const GATEWAYS: Readonly<Record<string, string>> = { rare: 'night' }

/** Five days: one caller makes most of the calls of a gateway, another nearly all of one that has little to do. */
function stored(flood: number): ReadonlyMap<string, Uint8Array> {
  const partition = StoredPartition.open(new Map())
  const perDay = [...Array<Principal>(40).fill(SMALL), ...Array<Principal>(900).fill(LARGE), RARE]
  const events: AccessEvent[] = []
  for (let day = 0; day < 5; day++)
    for (const [i, principal] of perDay.entries()) {
      const gateway = { kind: 'kong', id: GATEWAYS[principal.label] ?? 'eu' }
      events.push(call(MONDAY + day * DAY_MS + i * 60_000, principal, { gateway }))
    }
  for (let i = 0; i < flood; i++)
    events.push(call(MONDAY + 5 * DAY_MS + i * 5_000, SMALL, { gateway: { kind: 'kong', id: 'eu' } }))
  partition.live(
    events.map((event) => ({ kind: 'event', event })),
    [],
  )
  partition.checkpoint()
  return partition.stored
}

async function traffic(read: (keys: readonly string[]) => Promise<readonly (Uint8Array | undefined)[]>) {
  const members = [
    member(SMALL),
    member(LARGE, { evidenceFrom: ['eu'] }),
    member(RARE, { evidenceFrom: ['night'] }),
  ]
  const aliases = [{ name: 'orders', tenant: 'default', members }]
  const warnings: string[] = []
  const logger = { ...quietLogger, warn: (_: object, message: string) => void warnings.push(message) }
  const found = new AliasTraffic({
    ...{ aliases, partitions: 1, identityKey: KEY, logger },
    store: { read: (_, keys) => read(keys) },
    maxTrafficShare: () => 0.1,
  })
  await (await found.follow(AbortSignal.abort())).done
  return { found, warnings }
}

describe('what would stop with another name of a caller', () => {
  it('asks for a person where that is much of what its gateway does', async () => {
    const rows = stored(0)
    const { found } = await traffic(async (keys) => keys.map((key) => rows.get(key)))
    expect(found.tooWide('default', LARGE)).toMatch(
      /^its other name consumer:large makes 9\d % of the calls of its gateway \(bound 10 %\)$/,
    )
    // Nobody's traffic, however little its gateway has to do.
    expect(found.tooWide('default', RARE)).toBeNull()
    expect(found.tooWide('default', SMALL)).toBeNull()
    expect(found.tooWide('globex', LARGE)).toBeNull()
  })

  it('is no more because somebody floods under that name', async () => {
    const rows = stored(3_000)
    const { found } = await traffic(async (keys) => keys.map((key) => rows.get(key)))
    expect(found.tooWide('default', SMALL)).toBeNull()
  })

  it('is unknown while the store is away, and that is said', async () => {
    const { found, warnings } = await traffic(() => Promise.reject(new Error('away')))
    expect(found.tooWide('default', LARGE)).toBeNull()
    expect(warnings).toEqual(['how much callers with several names call could not be read'])
  })
})
