import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An answer that is given instead of the usual one. */
export type ScriptedAnswer =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | 'hang'
  | 'drop'
  | 'endless'

export interface HttpRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface ScriptedHttp {
  readonly url: string
  /** Every request received, scripted answers included. */
  readonly requests: readonly HttpRequest[]
  /** Bytes that the last endless answer could write before the client closed it. */
  readonly endlessBytes: () => number
  answerNext(...answers: readonly ScriptedAnswer[]): void
  /** Resolves once `count` requests have arrived. */
  received(count: number): Promise<void>
  close(): Promise<void>
}

const MAX_REQUEST_BYTES = 1_000_000

/** A real HTTP server on loopback that answers with `usual` unless something else was scripted. */
export async function startScriptedHttp(
  usual: (request: HttpRequest) => Exclude<ScriptedAnswer, string>,
): Promise<ScriptedHttp> {
  const requests: HttpRequest[] = []
  const script: ScriptedAnswer[] = []
  const waiting: { readonly count: number; readonly resolve: () => void }[] = []
  let endless = 0
  const server = createServer(async (message, response) => {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of message as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_REQUEST_BYTES) return message.destroy()
      chunks.push(chunk)
    }
    const { method = '', url: path = '', headers } = message
    const request = { method, path, headers, body: Buffer.concat(chunks) }
    requests.push(request)
    const answer = script.shift() ?? usual(request)
    for (const { count, resolve } of waiting) if (requests.length >= count) resolve()
    if (answer === 'drop') return message.socket.destroy()
    if (answer === 'hang') return
    if (answer === 'endless') return flood(response, (bytes) => (endless = bytes))
    response.writeHead(answer.status, answer.headers ?? {}).end(answer.body ?? '')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    endlessBytes: () => endless,
    answerNext: (...answers) => void script.push(...answers),
    received: (count) =>
      new Promise((resolve) => {
        if (requests.length >= count) resolve()
        else waiting.push({ count, resolve })
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function flood(response: ServerResponse, count: (bytes: number) => void): void {
  const chunk = Buffer.alloc(16_384, 'x')
  let bytes = 0
  const write = (): void => {
    while (!response.destroyed) {
      bytes += chunk.length
      count(bytes)
      if (!response.write(chunk)) break
    }
  }
  response.writeHead(200)
  response.on('drain', write)
  response.on('error', () => response.destroy())
  write()
}
