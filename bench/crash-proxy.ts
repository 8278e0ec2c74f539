import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { COMMIT } from '../baseline/stores/redis-scripts.ts'
import type { KillSwitch } from './kill-points.ts'

const SENT = Buffer.from(COMMIT.sha1)
/** Keys of shared state, which is not what these points are about. */
const SHARED = Buffer.from('/6000')
const HEAD_BYTES = 400
const DONE = Buffer.from('\r\ndone\r\n')

/** Stands between this process and Redis, so that a script can run whose answer never arrives. */
export async function proxied(url: string, kill: KillSwitch): Promise<string> {
  const target = new URL(url)
  let lost = 0
  const server = createServer((client) => {
    const redis = connect(Number(target.port), target.hostname)
    let waiting = false
    client.on('data', (bytes) => {
      if (isCommit(bytes)) {
        if (kill.isDue('script-before')) kill.act()
        waiting = true
      }
      redis.write(bytes)
    })
    redis.on('data', (bytes) => {
      if (waiting && bytes.includes(DONE)) {
        waiting = false
        if (kill.isDue('script-after')) kill.act()
        if (kill.isDue('answer-lost') || lost > 0) {
          // The first answer is swallowed; the one to the repeated script is the last thing that happens.
          if (++lost === 2) kill.act()
          client.destroy()
          redis.destroy()
          return
        }
      }
      client.write(bytes)
    })
    endTogether(client, redis)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function isCommit(bytes: Buffer): boolean {
  const at = bytes.indexOf(SENT)
  return at >= 0 && !bytes.subarray(at, at + HEAD_BYTES).includes(SHARED)
}

function endTogether(a: Socket, b: Socket): void {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.on('error', () => other.destroy())
    one.on('close', () => other.destroy())
  }
}
