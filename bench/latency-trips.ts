import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { type Caller, download, type TimedRecord } from './latency-records.ts'
import type { Chain, Setting } from './latency-setting.ts'

/** From producing a record to the first refused request of its caller. */
export interface Trip {
  readonly caller: string
  /** When the record was handed to the producer, epoch ms with a fraction. */
  readonly startedAt: number
  readonly ms: number
  /** Requests until the refusal, and what one and the pause behind it took on average: the error of `ms`. */
  readonly polls: number
  readonly pollMs: number
}

/** The two chains one after the other, under the same conditions. */
export interface Pair {
  readonly ours: Trip
  readonly bare: Trip
}

/** A timer, not a loop: the client must not take a core from what it measures. Both chains are polled alike. */
const POLL_PAUSE_MS = 1
const GIVE_UP_MS = 30_000
/** Trips are this far apart, at random, so that they meet every phase of whatever runs at intervals. */
const MIN_GAP_MS = 30
const MAX_GAP_MS = 130

/** A client that asks one HAProxy again and again over one connection. */
class PollingClient {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(port: number) {
    this.#port = port
  }

  status(token: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` }
      const asked = request({
        port: this.#port,
        host: '127.0.0.1',
        path: '/v1/orders',
        headers,
        agent: this.#agent,
      })
      asked.on('error', reject)
      asked.on('response', (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode ?? 0))
      })
      asked.end()
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Makes round trips through both chains in turn. */
export class RoundTrips {
  readonly #setting: Setting
  readonly #clients: ReadonlyMap<Chain, PollingClient>
  readonly #random: () => number

  constructor(setting: Setting, random: () => number) {
    this.#setting = setting
    this.#random = random
    this.#clients = new Map([setting.ours, setting.bare].map((c) => [c, new PollingClient(c.haproxy.port)]))
  }

  /** One pair; which chain goes first alternates. */
  async pair(index: number, ours: Caller, bare: Caller): Promise<Pair> {
    const { setting, first } = { setting: this.#setting, first: index % 2 === 0 }
    const early = first ? await this.#ours(ours) : null
    const other = await this.#trip(setting.bare, bare)
    setting.lift(`bare-${bare.sub}`)
    await this.#gap()
    return { ours: early ?? (await this.#ours(ours)), bare: other }
  }

  async #ours(caller: Caller): Promise<Trip> {
    const trip = await this.#trip(this.#setting.ours, caller)
    await this.#gap()
    return trip
  }

  async #gap(): Promise<void> {
    await sleep(MIN_GAP_MS + this.#random() * (MAX_GAP_MS - MIN_GAP_MS))
  }

  async #trip(chain: Chain, caller: Caller): Promise<Trip> {
    const client = this.#clients.get(chain)!
    const token = await tokenOf(caller, chain.haproxy.secret)
    const before = await client.status(token)
    if (before !== 200) throw new Error(`${chain.topic}: ${caller.sub} got ${before} before its download`)
    const record = download(caller, Date.now())
    const start = performance.now()
    const sending = this.#setting.producer.send(chain.topic, [message(record)])
    const polls = await Promise.race([
      this.#refused(client, token, start),
      this.#setting.failed,
      sending.then(never),
    ])
    const ms = performance.now() - start
    await sending
    return { caller: caller.sub, startedAt: performance.timeOrigin + start, ms, polls, pollMs: ms / polls }
  }

  async #refused(client: PollingClient, token: string, start: number): Promise<number> {
    for (let polls = 1; performance.now() - start < GIVE_UP_MS; polls++) {
      const status = await client.status(token)
      if (status === 403) return polls
      if (status !== 200) throw new Error(`status ${status} instead of 200 or 403`)
      await sleep(POLL_PAUSE_MS)
    }
    throw new Error(`no refusal within ${GIVE_UP_MS} ms`)
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}

/** A record as the producer takes it. */
export function message({ key, value, time }: TimedRecord) {
  return { key, value, timestamp: time }
}

async function tokenOf({ iss, sub, jti }: Caller, secret: string): Promise<string> {
  return await new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(iss)
    .setSubject(sub)
    .setJti(jti)
    .setIssuedAt()
    .setExpirationTime('4h')
    .sign(new TextEncoder().encode(secret))
}
