import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import type { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'
import { type DroppingForwarder, startDroppingForwarder } from './dropping-forwarder.ts'

/** One gateway: a real HAProxy, the shipper of its log, and a caller with a token that it takes. */
export interface Edge {
  readonly haproxy: RunningHaproxy
  readonly forwarder: DroppingForwarder
  /** Calls `path` so often a second, until `stop`. */
  drive(perSecond: number, path: string, stop: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface EdgeOptions {
  readonly node: string
  readonly topic: string
  readonly upstreamPort: number
}

export async function startEdge(client: KafkaClient, options: EdgeOptions): Promise<Edge> {
  const { node, topic, upstreamPort } = options
  const forwarder = await startDroppingForwarder(client, topic)
  const haproxy = await startHaproxy({ logPort: forwarder.port, upstreamPort, node })
  const now = Math.floor(Date.now() / 1_000)
  const token = await new SignJWT({
    iss: haproxy.issuer,
    sub: 'svc-1',
    jti: 'svc-1-0',
    iat: now - 60,
    exp: now + 7_200,
  })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(haproxy.secret))
  return {
    haproxy,
    forwarder,
    drive: async (perSecond, path, stop) => {
      const headers = { authorization: `Bearer ${token}` }
      while (!stop.aborted) {
        const answer = await fetch(`http://127.0.0.1:${haproxy.port}${path}`, { headers }).catch(() => null)
        await answer?.text()
        await sleep(1_000 / perSecond)
      }
    },
    close: async () => {
      await haproxy.stop()
      await forwarder.close()
    },
  }
}
