import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import type { Checkpoint, StateStore } from '../../../baseline/store.ts'
import { openRedisStore } from '../../../baseline/stores/redis-store.ts'
import { type Actor, expectModel } from '../../contracts/stores/model-steps.ts'
import {
  type RedisService,
  type RedisServiceOptions,
  redisAvailable,
  startRedis,
} from '../../services/redis.ts'

const available = await redisAvailable()
const run = promisify(execFile)
const undo: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const action of undo.splice(0).reverse()) await action()
})

async function redis(options: RedisServiceOptions = {}): Promise<RedisService> {
  const service = await startRedis(options)
  undo.push(() => service.stop())
  return service
}

async function storeOf(options: Parameters<typeof openRedisStore>[0]): Promise<StateStore> {
  const store = await openRedisStore(options)
  undo.push(() => store.close())
  return store
}

function commitOf(n: number, puts: ReadonlyMap<string, Uint8Array> = new Map()): Checkpoint {
  const at = (offset: number) => ({ offset, recordHash: offset < 0 ? '' : 'ab' })
  return { expected: at(n - 1), position: at(n), puts, deletes: [] }
}

/** A TCP relay that can swallow what the server answers, or cut all connections. */
async function relay(port: number) {
  const sockets = new Set<Socket>()
  let swallow = false
  let onSwallowed: () => void = () => undefined
  const server: Server = createServer((near) => {
    const far = new Socket().connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => [near, far].map((other) => other.destroy()))
    }
    near.on('data', (data) => far.write(data))
    far.on('data', (data) => {
      if (!swallow) near.write(data)
      else onSwallowed()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  undo.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `redis://127.0.0.1:${address.port}`,
    /** The next answer is lost together with its connection; later ones pass. */
    loseNextAnswer: () => {
      swallow = true
      onSwallowed = () => {
        swallow = false
        for (const socket of sockets) socket.destroy()
        sockets.clear()
      }
    },
  }
}

describe.skipIf(!available)('a Redis store', () => {
  it('says in one line which server it cannot reach', async () => {
    await expect(
      openRedisStore({ url: 'redis://user:hidden@127.0.0.1:1', connectTimeoutMs: 300 }),
    ).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      retriable: true,
      message: expect.stringMatching(/^cannot reach Redis at 127\.0\.0\.1:1: .*ECONNREFUSED[^\n]*$/),
    })
  })

  it('logs in with a password and tells at once that one is wrong', async () => {
    const { url, port } = await redis({ password: 'correct-horse' })
    await (await storeOf({ url })).check()
    for (const wrong of [`redis://127.0.0.1:${port}`, `redis://:wrong-pass@127.0.0.1:${port}`]) {
      const failure = openRedisStore({ url: wrong })
      await expect(failure).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', retriable: false })
      await expect(failure).rejects.not.toMatchObject({ message: expect.stringContaining('wrong-pass') })
    }
  })

  it.each(['not a url', 'http://127.0.0.1:6379', 'redis://127.0.0.1/x'])(
    'refuses the url %s',
    async (url) => {
      await expect(openRedisStore({ url })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    },
  )

  it('refuses a server that may evict state, naming the policy', async () => {
    const { url } = await redis({ maxmemory: '64mb', maxmemoryPolicy: 'allkeys-lru' })
    await expect(openRedisStore({ url })).rejects.toMatchObject({
      code: 'STORE_MAY_EVICT',
      retriable: false,
      message: expect.stringContaining('allkeys-lru'),
    })
    const unlimited = await redis({ maxmemoryPolicy: 'allkeys-lru' })
    await storeOf({ url: unlimited.url })
    const kept = await redis({ maxmemory: '64mb', maxmemoryPolicy: 'noeviction' })
    await storeOf({ url: kept.url })
  })

  it('notices a policy that is changed later', async () => {
    const { url, port } = await redis({ maxmemory: '64mb', maxmemoryPolicy: 'noeviction' })
    const store = await storeOf({ url })
    await run('redis-cli', ['-p', String(port), 'config', 'set', 'maxmemory-policy', 'volatile-ttl'])
    await expect(store.check()).rejects.toMatchObject({ code: 'STORE_MAY_EVICT' })
  })

  it('refuses a read-only replica', async () => {
    const primary = await redis()
    const replica = await redis({ replicaOf: primary.port })
    await expect(openRedisStore({ url: replica.url })).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringContaining('read-only replica'),
    })
  })

  it('fails fast while the server is down and goes on when it is back', async () => {
    const service = await redis({ appendonly: true })
    const store = await storeOf({ url: service.url, commandTimeoutMs: 300 })
    const owner = await store.open(0)
    await owner.commit(commitOf(0))
    service.kill()
    await expect(owner.commit(commitOf(1))).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      retriable: true,
    })
    await expect(store.check()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    await service.restart()
    await expect
      .poll(
        () =>
          store.check().then(
            () => 'up',
            () => 'down',
          ),
        { timeout: 10_000 },
      )
      .toBe('up')
    await owner.commit(commitOf(1))
  })

  it('gives up on a server that stopped answering, and a late commit is recognised', async () => {
    const service = await redis()
    const store = await storeOf({ url: service.url, commandTimeoutMs: 300 })
    const owner = await store.open(0)
    service.pause()
    const commit = commitOf(0, new Map([['k', Buffer.from('v')]]))
    await expect(owner.commit(commit)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', retriable: true })
    service.resume()
    await owner.commit(commit)
    await owner.commit(commitOf(1))
    await expect(owner.commit(commitOf(1))).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
  })

  it('does everything once when an answer is lost', async () => {
    const { port } = await redis()
    const between = await relay(port)
    const store = await storeOf({ url: between.url })
    const owner = await store.open(0)
    between.loseNextAnswer()
    await owner.commit(commitOf(0, new Map([['k', Buffer.from('v')]])))
    between.loseNextAnswer()
    expect(await owner.appendOutbox([{ id: 'a', kind: 'decision', body: '{}' }], 0)).toEqual([true])
    between.loseNextAnswer()
    expect(await owner.appendControl({ afterOffset: 0, kind: 'tick', body: '{}' })).toBe(1)
    between.loseNextAnswer()
    expect(await store.putDocument('settings', 0, 'one')).toBe(1)
    between.loseNextAnswer()
    expect(await store.appendLine('audit', 'one')).toBe(1)
    between.loseNextAnswer()
    await store.request(0, { id: 'r', kind: 'accept', body: '{}' })
    expect((await store.readOutbox(0, 0, 10)).length).toBe(1)
    expect((await owner.control(0)).length).toBe(1)
    expect((await store.readLines('audit', 0, 10)).length).toBe(1)
    expect((await owner.requests()).length).toBe(1)
  })

  it('sends its scripts again to a server that forgot them', async () => {
    const { url, port } = await redis()
    const owner = await (await storeOf({ url })).open(0)
    await owner.commit(commitOf(0))
    await run('redis-cli', ['-p', String(port), 'script', 'flush'])
    await owner.commit(commitOf(1))
  })

  it('tells an emptied server from another owner, whatever it was asked to write', async () => {
    const { url, port } = await redis()
    const owner = await (await storeOf({ url })).open(0)
    await owner.commit(commitOf(0))
    await run('redis-cli', ['-p', String(port), 'flushall'])
    const entry = { id: 'a', kind: 'alert', body: '{}' } as const
    for (const write of [
      () => owner.commit(commitOf(1)),
      () => owner.appendOutbox([entry], 1),
      () => owner.appendControl({ afterOffset: 1, kind: 'settings', body: '{}' }),
      () => owner.settleRequests(['a']),
      () => owner.trim(0, 0),
    ]) {
      const refused = write()
      await expect(refused).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
      await expect(refused).rejects.toThrow('the state store was emptied while Curfew ran')
    }
    expect((await run('redis-cli', ['-p', String(port), 'dbsize'])).stdout.trim()).toBe('0')
  })

  it('commits and scans more keys than one Lua call takes', async () => {
    const { url } = await redis()
    const store = await storeOf({ url })
    const owner = await store.open(0)
    const puts = new Map<string, Uint8Array>()
    for (let i = 0; i < 20_000; i++) puts.set(`p:default:${i}`, Buffer.alloc(64, i))
    await owner.commit(commitOf(0, puts))
    await owner.commit({ ...commitOf(1), deletes: [...puts.keys()].slice(0, 12_345) })
    let count = 0
    for await (const [key, value] of store.scan(0, 'p:')) {
      expect(Buffer.compare(value, puts.get(key)!)).toBe(0)
      count++
    }
    expect(count).toBe(20_000 - 12_345)
  })

  it('changes nothing when the memory of the server is full', async () => {
    const { url, port } = await redis({ maxmemory: '64mb', maxmemoryPolicy: 'noeviction' })
    const owner = await (await storeOf({ url })).open(0)
    await owner.commit(commitOf(0, new Map(['k', 'gone'].map((key) => [key, Buffer.from('old')]))))
    await run('redis-cli', ['-p', String(port), 'config', 'set', 'maxmemory', '1'])
    const refused = owner.commit({ ...commitOf(1, new Map([['k', Buffer.from('new')]])), deletes: ['gone'] })
    await expect(refused).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', retriable: true })
    expect((await owner.get(['k', 'gone'])).map((value) => Buffer.from(value!).toString())).toEqual([
      'old',
      'old',
    ])
    await run('redis-cli', ['-p', String(port), 'config', 'set', 'maxmemory', '64mb'])
    await owner.commit(commitOf(1))
  })

  it('wakes watchers again after the server was away', async () => {
    const service = await redis({ appendonly: true })
    const store = await storeOf({ url: service.url })
    let woken = 0
    const stop = await store.watchOutbox(() => woken++)
    service.kill()
    await service.restart()
    const owner = await store.open(0)
    let id = 0
    const append = async () => {
      await owner.appendOutbox([{ id: String(id++), kind: 'alert', body: '{}' }], 0)
      return woken
    }
    await expect.poll(append, { timeout: 10_000, interval: 100 }).toBeGreaterThan(0)
    await stop()
  })

  it('speaks TLS and refuses a certificate that it cannot verify', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'curfew-tls-'))
    undo.push(() => rm(dir, { recursive: true, force: true }))
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ])
    const { tlsPort } = await redis({ tls: { key, cert } })
    const url = `rediss://127.0.0.1:${tlsPort}`
    await expect(openRedisStore({ url, connectTimeoutMs: 500 })).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringContaining('certificate'),
    })
    const store = await storeOf({ url, tls: { ca: await readFile(cert, 'utf8') } })
    await store.check()
  })

  it('does what the model does in any order', async () => {
    const { url } = await redis()
    await expectModel(async () => {
      const open = (keyPrefix: string) => openRedisStore({ url, keyPrefix })
      const keyPrefix = `${randomUUID()}:`
      const actor: Actor = {
        store: await open(keyPrefix),
        owners: [],
        reopen: async () => {
          await actor.store.close()
          return await open(keyPrefix)
        },
      }
      return { actor, dispose: () => actor.store.close() }
    }, 25)
  })

  it('keeps all keys of a partition under one hash tag and topics and generations apart', async () => {
    const { url, port } = await redis()
    const first = await (await storeOf({ url, topic: 'events', generation: 1 })).open(7)
    const second = await (await storeOf({ url, topic: 'events', generation: 2 })).open(7)
    await first.commit(commitOf(0, new Map([['p:t:0f', Buffer.from('1')]])))
    expect(second.position.offset).toBe(-1)
    const { stdout } = await run('redis-cli', ['-p', String(port), 'keys', 'curfew:{events/1/7}:*'])
    expect(stdout.trim().split('\n').sort()).toEqual(
      ['epoch', 'index', 'p:t:0f', 'position'].map((name) => `curfew:{events/1/7}:${name}`),
    )
  })
})
