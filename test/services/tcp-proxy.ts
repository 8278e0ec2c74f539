import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between a client and a service on loopback. */
export interface TcpProxy {
  readonly port: number
  /** Connections stay open, new ones are taken, and nothing passes: a network that swallows packets. */
  stall(): void
  resume(): void
  /** Connections break off; new ones lead to another port: a failover. */
  turnTo(port: number): void
  close(): Promise<void>
}

/** Starts a proxy to a port of this machine. */
export async function startTcpProxy(first: number): Promise<TcpProxy> {
  let target = first
  const sockets = new Set<Socket>()
  let stalled = false
  const server = createServer((client) => {
    const service = connect(target, '127.0.0.1')
    for (const [one, other] of [
      [client, service],
      [service, client],
    ] as const) {
      sockets.add(one)
      one.on('data', (bytes) => other.write(bytes))
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      if (stalled) one.pause()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    stall: () => {
      stalled = true
      for (const socket of sockets) socket.pause()
    },
    resume: () => {
      stalled = false
      for (const socket of sockets) socket.resume()
    },
    turnTo: (port) => {
      target = port
      for (const socket of sockets) socket.destroy()
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
