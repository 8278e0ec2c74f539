import { getEventListeners } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HaproxyRuntime } from '../../../enforcement/gateways/haproxy-runtime.ts'

let folder: string
let server: Server
let path: string
let answers: boolean
const sockets: Socket[] = []

beforeEach(async () => {
  answers = false
  folder = await mkdtemp(join(tmpdir(), 'curfew-runtime-'))
  path = join(folder, 'haproxy.sock')
  server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', () => void (answers && socket.end('answer\n\n')))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  await rm(folder, { recursive: true, force: true })
})

describe('commands of one call', () => {
  it('listen once for its end, however many wait', async () => {
    const runtime = new HaproxyRuntime(path)
    const stop = new AbortController()
    const asked = Array.from({ length: 60 }, () => runtime.command('show map', stop.signal))
    const outcomes = Promise.allSettled(asked)
    await expect.poll(() => sockets.length).toBe(4)
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1)
    stop.abort()
    expect((await outcomes).every(({ status }) => status === 'rejected')).toBe(true)
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0)
  })

  it('leave nothing behind when all are answered', async () => {
    answers = true
    const runtime = new HaproxyRuntime(path)
    const stop = new AbortController()
    const other = new AbortController()
    const asked = Array.from({ length: 20 }, (_, i) =>
      runtime.command('show map', (i % 2 === 0 ? stop : other).signal),
    )
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['answer']))
    for (const { signal } of [stop, other]) expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})
