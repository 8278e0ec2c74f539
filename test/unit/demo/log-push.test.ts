import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { LogPush } from '../../../cli/demo/log-push.ts'

it('pushes every line in order, again after a refusal, several at once in an array', async () => {
  const bodies: unknown[] = []
  let calls = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const isTaken = ++calls > 1 && request.headers.authorization === 'Bearer secret'
      if (isTaken) bodies.push(JSON.parse(Buffer.concat(chunks).toString()))
      response.writeHead(isTaken ? 202 : 503).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const push = new LogPush(`http://127.0.0.1:${(server.address() as AddressInfo).port}/ingest/kong`, 'secret')
  for (const n of [1, 2, 3]) push.line(JSON.stringify({ n }))
  while (bodies.flat().length < 3) await new Promise((resolve) => setTimeout(resolve, 10))
  await push.close()
  push.line('{"n":4}')
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
  expect(bodies.flat()).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
})
