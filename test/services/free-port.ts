import { createServer } from 'node:net'

/** Below the ports that Linux gives to outgoing connections (32768 and up), which would take one meanwhile. */
const FIRST = 20_000
const COUNT = 12_000

/** Each process starts elsewhere, and goes round, so that no port is given twice. */
let next = (process.pid * 97) % COUNT

/** A port on 127.0.0.1 that nobody listened at a moment ago. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < COUNT; tried++) {
    const port = FIRST + next
    next = (next + 1) % COUNT
    if (await isFree(port)) return port
  }
  throw new Error('no free port')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
