import { createConnection, createServer, type Socket } from 'node:net'

/** A socket in front of HAProxy's own that remembers every command that came through. */
export interface LoggedSocket {
  readonly path: string
  /** Commands in the order in which they came, without the wish for a prompt. */
  readonly commands: string[]
  close(): Promise<void>
}

/** Opens a socket at `path` that passes everything on to `target`. */
export async function logSocket(path: string, target: string): Promise<LoggedSocket> {
  const commands: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const haproxy = createConnection({ path: target })
    let rest = ''
    client.on('data', (chunk) => {
      const lines = (rest + chunk.toString('utf8')).split('\n')
      rest = lines.pop() ?? ''
      commands.push(...lines.filter((line) => line !== 'prompt'))
    })
    for (const [one, other] of [
      [client, haproxy],
      [haproxy, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    path,
    commands,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
