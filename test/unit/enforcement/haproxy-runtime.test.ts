import { getEventListeners } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HaproxyRuntime } from '../../../enforcement/gateways/haproxy-runtime.ts'

let folder: string
let server: Server
let path: string
/** What the server sends for a line, or null to say nothing; `prompt` included. */
let answer: (line: string, socket: Socket) => string | readonly string[] | null
const sockets: Socket[] = []

const PROMPT = '\n> '
/** As HAProxy 2.6 answers in interactive mode. */
const interactive = (line: string) => (line === 'prompt' ? PROMPT : `answer to ${line}\n\n> `)

beforeEach(async () => {
  answer = () => null
  folder = await mkdtemp(join(tmpdir(), 'curfew-runtime-'))
  path = join(folder, 'haproxy.sock')
  server = createServer((socket) => {
    sockets.push(socket)
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    let said = Promise.resolve()
    createInterface(socket).on('line', (line) => {
      said = said.then(async () => {
        for (const piece of [answer(line, socket) ?? []].flat()) {
          socket.write(piece)
          await sleep(2)
        }
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  await rm(folder, { recursive: true, force: true })
})

const never = new AbortController().signal

describe('a session', () => {
  it('asks one command after the other over one connection', async () => {
    answer = interactive
    const runtime = new HaproxyRuntime(path)
    const answers = await runtime.session(never, async (ask) => [await ask('get'), await ask('add')])
    expect(answers).toEqual(['answer to get', 'answer to add'])
    expect(sockets).toHaveLength(1)
    await expect.poll(() => sockets[0]?.readableEnded).toBe(true)
  })

  it.each([
    ['an empty answer', [PROMPT], ''],
    ['one that comes in pieces', ['on', 'e\n', '\n', '>', ' '], 'one'],
    ['one that holds the prompt within a line', ['0x1 key "> value"\n\n> '], '0x1 key "> value"'],
    ['one with an empty line within', ['# a,b\n1,2\n\n3,4\n\n> '], '# a,b\n1,2\n\n3,4'],
  ])('reads %s', async (_, pieces, expected) => {
    answer = (line) => (line === 'prompt' ? ['\n', '> '] : pieces)
    expect(await new HaproxyRuntime(path).command('show', never)).toBe(expected)
  })

  it.each([
    ['that end before the prompt', (socket: Socket) => void socket.end('half\n'), 'broke off'],
    ['without the empty line', (socket: Socket) => void socket.write('half\n> '), 'broke off'],
    ['of a connection that is cut', (socket: Socket) => void socket.destroy(), 'broke off'],
  ])('refuses answers %s', async (_, act, message) => {
    answer = (line, socket) => {
      if (line === 'prompt') return PROMPT
      act(socket)
      return null
    }
    const asked = new HaproxyRuntime(path).command('show', never)
    await expect(asked).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE', retriable: true })
    await expect(asked).rejects.toThrow(message)
  })

  it('refuses somebody who is not HAProxy', async () => {
    answer = () => 'HTTP/1.1 400 Bad Request\r\n\r\n'
    await expect(new HaproxyRuntime(path).command('show', never)).rejects.toThrow('gives no prompt')
  })

  it('fails where nobody listens', async () => {
    const asked = new HaproxyRuntime(join(folder, 'nobody.sock')).command('show', never)
    await expect(asked).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE', retriable: true })
  })

  it('gives its turn to the next when the work fails', async () => {
    answer = interactive
    const runtime = new HaproxyRuntime(path)
    for (let i = 0; i < 6; i++) {
      const failed = runtime.session(never, () => Promise.reject(new Error('no')))
      await expect(failed).rejects.toThrow('no')
    }
    expect(await runtime.command('show', never)).toBe('answer to show')
  })
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
    answer = interactive
    const runtime = new HaproxyRuntime(path)
    const stop = new AbortController()
    const other = new AbortController()
    const asked = Array.from({ length: 20 }, (_, i) =>
      runtime.command('show map', (i % 2 === 0 ? stop : other).signal),
    )
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['answer to show map']))
    for (const { signal } of [stop, other]) expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})
