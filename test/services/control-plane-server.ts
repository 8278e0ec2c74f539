import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Failure } from '../contracts/enforcement/gateway-contract.ts'

/** One request with its body read. */
export interface Asked {
  readonly method: string
  readonly url: URL
  readonly headers: IncomingMessage['headers']
  /** Parsed JSON, text of any other type; null for none. */
  readonly body: unknown
}

/** An answer in JSON; a body of null is empty. */
export interface JsonAnswer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** `null` cuts the connection, `garbage` is no JSON. */
export type Answered = JsonAnswer | 'garbage' | null

/** A management API in this process: what stand-ins for gateways' control planes have in common. */
export abstract class ControlPlaneServer {
  /** What a request or an answer did not keep to; must stay empty. */
  readonly violations: string[] = []
  calls = 0
  /** Every request as it came: method, path with query, body. */
  readonly wire: string[] = []
  private failure: Failure | null = null
  private server: Server | null = null
  private port = 0

  /** Answers a request while nothing fails as a whole. */
  protected abstract answerTo(asked: Asked): Answered | Promise<Answered>

  /** The answer of a control plane of which every call fails inside. */
  protected abstract broken(): Answered

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.port}`)
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => void this.serve(request, response))
    this.server = server
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.port = (server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    const server = this.server
    this.server = null
    if (server === null) return
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }

  async fail(failure: Failure | null): Promise<void> {
    this.failure = failure
    if (failure === 'refused') await this.stop()
    else if (this.server === null) await this.start()
  }

  protected note(violation: string | null): void {
    if (violation !== null) this.violations.push(violation)
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.calls++
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('utf8')
    this.wire.push(`${request.method} ${request.url} ${text}`)
    if (this.failure === 'hang') return
    send(response, this.failure === null ? await this.answerTo(askedBy(request, text)) : this.failed())
  }

  private failed(): Answered {
    return this.failure === 'garbage' ? 'garbage' : this.broken()
  }
}

function askedBy({ method = 'GET', url = '/', headers }: IncomingMessage, text: string): Asked {
  const isJson = headers['content-type']?.includes('json') ?? true
  const body: unknown = text === '' ? null : isJson ? JSON.parse(text) : text
  return { method, url: new URL(url, 'http://stand-in'), headers, body }
}

function send(response: ServerResponse, answer: Answered): void {
  if (answer === null) response.socket?.destroy()
  else if (answer === 'garbage') response.end('<html>login</html>')
  else {
    const { status, body, headers } = answer
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers })
    response.end(body === null ? undefined : JSON.stringify(body))
  }
}
