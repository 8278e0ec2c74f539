import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openRedisStore } from '../../../baseline/stores/redis-store.ts'
import {
  type RedisClusterService,
  type RedisService,
  redisAvailable,
  startRedis,
  startRedisCluster,
} from '../../services/redis.ts'
import { stateStoreContract } from './state-store-contract.ts'
import type { StoreUnderTest } from './store-check.ts'

const available = await redisAvailable()
if (!available) console.warn('SKIPPED: redis-server is not installed (apt-get install redis-server)')

let single: RedisService
let cluster: RedisClusterService

beforeAll(async () => {
  if (!available) return
  single = await startRedis({ appendonly: true })
  cluster = await startRedisCluster()
})

afterAll(async () => {
  await single?.stop()
  await cluster?.stop()
})

/** A store under a prefix of its own, so that every check starts empty. */
async function subject(open: (keyPrefix: string) => Promise<StateStore>): Promise<StoreUnderTest> {
  const keyPrefix = `test:${randomUUID()}:`
  const store = await open(keyPrefix)
  let current = store
  return {
    store,
    reopen: async () => {
      await current.close()
      current = await open(keyPrefix)
      return current
    },
    dispose: () => current.close(),
  }
}

stateStoreContract({
  name: 'redis',
  skip: !available,
  make: async () => {
    const open = (keyPrefix: string) => openRedisStore({ url: single.url, keyPrefix, commandTimeoutMs: 300 })
    const whole = await subject(open)
    return {
      ...whole,
      cut: async (commit, moment) => {
        const sent = commit().catch(() => undefined)
        await sleep(moment * 3)
        single.kill()
        await single.restart()
        await sent
        return await whole.reopen()
      },
    }
  },
})

stateStoreContract({
  name: 'redis cluster',
  skip: !available,
  make: () => subject((keyPrefix) => openRedisStore({ clusterNodes: cluster.nodes, keyPrefix })),
})
