import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import { haproxyCounter } from '../../../enforcement/gateways/haproxy-counter.ts'
import { nginxCounter } from '../../../enforcement/gateways/nginx-counter.ts'
import type { TrafficCounter } from '../../../enforcement/traffic-counter.ts'

/** A gateway in front of the counter under test; `null` makes it answer something else. */
interface Gateway {
  readonly counter: TrafficCounter
  served: number | null
  /** Another process takes over and counts from 0 again. */
  restart(): void
  close(): Promise<void>
}

const never = new AbortController().signal

/** Says what is wrong with a counter; empty when it keeps the contract. */
async function faults(open: () => Promise<Gateway>): Promise<string[]> {
  const wrong: string[] = []
  const gateway = await open()
  try {
    gateway.served = 100
    const first = await gateway.counter.total(never)
    const again = await gateway.counter.total(never)
    if (first.requests !== again.requests) wrong.push('its own questions count')
    gateway.served = 250
    const later = await gateway.counter.total(never)
    if (later.requests - first.requests !== 150) wrong.push('does not count what was served')
    if (later.epoch !== first.epoch) wrong.push('another epoch without a restart')
    gateway.restart()
    gateway.served = 3
    if ((await gateway.counter.total(never)).epoch === first.epoch)
      wrong.push('a restart shows no other epoch')
    gateway.served = null
    const answer = await gateway.counter.total(never).catch((error: unknown) => error)
    const fails = answer instanceof CurfewError && answer.code === 'GATEWAY_UNREACHABLE' && answer.retriable
    if (!fails) wrong.push('gives a number that it does not have')
  } finally {
    await gateway.close()
  }
  return wrong
}

const COLUMNS = '# pxname,svname,qcur,qmax,scur,smax,slim,stot,req_tot,'

/** HAProxy's Runtime API as HAProxy 2.6 answers it. */
async function haproxy(): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-counter-'))
  const socketPath = join(folder, 's')
  let pid = 10
  const gateway = { served: 0 as number | null }
  const answer = (line: string): string => {
    const { served } = gateway
    if (line === 'prompt') return '\n> '
    if (served === null) return 'Unknown command\n\n> '
    const table = `${COLUMNS}\napi,FRONTEND,,,9,9,,9,${served + 2},\nmetrics,FRONTEND,,,1,1,,1,77,\nupstream,BACKEND,0,0,2,9,9,9,,\n`
    return line.startsWith('show stat') ? `${table}\n> ` : `Name: HAProxy\nPid: ${pid}\nCumReq: 9\n\n> `
  }
  const server = createServer((socket) => {
    createInterface(socket).on('line', (line) => socket.write(answer(line)))
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return Object.assign(gateway, {
    counter: haproxyCounter({ gateway: 'a', socketPath, frontends: ['api'] }),
    restart: () => void pid++,
    close: async () => {
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true, force: true })
    },
  })
}

/** The `stub_status` page: every question is itself a request that is being written. */
async function nginx(counterOf: (url: string) => TrafficCounter): Promise<Gateway> {
  const gateway = { served: 0 as number | null }
  let questions = 0
  const server = createHttpServer((_, response) => {
    questions++
    const { served } = gateway
    const page = `Active connections: 3 \nserver accepts handled requests\n 90 90 ${(served ?? 0) + questions + 1} \nReading: 0 Writing: 2 Waiting: 1 \n`
    response.end(served === null ? 'Active connections: 3' : page)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return Object.assign(gateway, {
    counter: counterOf(`http://127.0.0.1:${address.port}/status`),
    restart: () => {
      questions = 0
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

describe('traffic counter contract', () => {
  it('HAProxy', async () => expect(await faults(haproxy)).toEqual([]))
  it('nginx', async () => expect(await faults(() => nginx((url) => nginxCounter('a', url)))).toEqual([]))

  it('rejects one that counts its own questions and takes a broken page for zero', async () => {
    const naive = (url: string): TrafficCounter => ({
      gateway: 'a',
      total: async () => {
        const text = await (await fetch(url)).text()
        return { epoch: '0', requests: Number(/\d+ \d+ (\d+)/.exec(text)?.[1] ?? 0) }
      },
    })
    expect(await faults(() => nginx(naive))).toEqual([
      'its own questions count',
      'does not count what was served',
      'a restart shows no other epoch',
      'gives a number that it does not have',
    ])
  })
})
