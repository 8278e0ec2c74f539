import { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openRedisStore } from '../../../baseline/stores/redis-store.ts'
import { SharedMap } from '../../../cli/shared-map.ts'
import { type RedisService, redisAvailable, startRedis } from '../../services/redis.ts'
import { startTcpProxy, type TcpProxy } from '../../services/tcp-proxy.ts'

const PATIENCE = { timeout: 20_000 }
const available = await redisAvailable()

/** What a server answers to a command in words. */
function say(port: number, words: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = new Socket()
    socket.on('error', reject)
    socket.on('data', (bytes) => {
      socket.destroy()
      resolve(String(bytes))
    })
    socket.connect(port, '127.0.0.1', () => socket.write(`${words}\r\n`))
  })
}

describe.skipIf(!available && process.env.CI !== 'true')('a shared map on a Redis that fails over', () => {
  let primary: RedisService
  let replica: RedisService
  let proxy: TcpProxy

  beforeAll(async () => {
    primary = await startRedis()
    replica = await startRedis({ replicaOf: primary.port })
    proxy = await startTcpProxy(primary.port)
  }, 60_000)
  afterAll(async () => {
    await proxy?.close()
    await replica?.stop()
    await primary?.stop()
  })

  it('goes on, with what the replica had not heard of, and nothing that was deleted', async () => {
    const linked = () => say(replica.port, 'INFO replication')
    await expect.poll(linked, PATIENCE).toContain('master_link_status:up')
    const store = await openRedisStore({ url: `redis://127.0.0.1:${proxy.port}`, commandTimeoutMs: 1_000 })
    const ending = new AbortController()
    const map = await SharedMap.open(store, 1, ending.signal)
    await map.change(
      new Map([
        ['kept', '1'],
        ['lifted', '1'],
      ]),
      [],
    )
    const written = async () =>
      /master_repl_offset:(\d+)/.exec(await say(primary.port, 'INFO replication'))?.[1]
    await expect.poll(linked, PATIENCE).toContain(`slave_repl_offset:${await written()}`)
    await say(replica.port, 'REPLICAOF NO ONE')
    await map.change(new Map([['lost', '1']]), ['lifted'])
    proxy.turnTo(replica.port)
    await map.change(new Map([['new', '1']]), [])
    await map.confirm()
    await map.change(new Map([['newer', '1']]), ['new'])
    await map.close()
    const after = await SharedMap.open(store, 1)
    expect([...after.entries()].map(([key]) => key).sort()).toEqual(['kept', 'lost', 'newer'])
    // The map belongs to the one who opened it last, whatever an earlier owner tries.
    await expect(map.change(new Map([['late', '1']]), [])).rejects.toMatchObject({ code: 'STORE_FENCED' })
    ending.abort()
    await store.close()
  }, 60_000)
})
