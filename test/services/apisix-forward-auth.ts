import { readFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The part of `forward-auth` that is configured. */
interface ForwardAuth {
  readonly uri: string
  readonly request_method: string
  readonly request_headers: readonly string[]
  readonly extra_headers: Readonly<Record<string, string>>
  readonly upstream_headers: readonly string[]
  readonly client_headers: readonly string[]
  readonly timeout: number
  readonly allow_degradation: boolean
  readonly status_on_error: number
}

/** A gateway on loopback that asks for each call. */
export interface AskingGateway {
  readonly url: string
  stop(): Promise<void>
}

interface Told {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** `samples/gateways/apisix.json` with the endpoint at another port. */
export async function shippedForwardAuth(
  decidePort: number,
): Promise<{ readonly plugins: { readonly 'forward-auth': ForwardAuth } }> {
  const text = await readFile(new URL('../../samples/gateways/apisix.json', import.meta.url), 'utf8')
  return JSON.parse(text.replace('127.0.0.1:8742', `127.0.0.1:${decidePort}`))
}

/**
 * Does for each call what `apisix/plugins/forward-auth.lua` does (apache/apisix at f519a0f04ccf) with the shipped
 * configuration: the question has headers of its own and those that the configuration names, of a repeated one the
 * first; an answer of 300 or more goes back to the client. Two `Authorization` headers NGINX itself refuses with 400.
 */
export async function startForwardAuthStandIn(ports: {
  readonly decide: number
  readonly app: number
}): Promise<AskingGateway> {
  const conf = (await shippedForwardAuth(ports.decide)).plugins['forward-auth']
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (valuesOf(request, 'authorization').length > 1) return end(response, 400)
    const headers = question(conf, request)
    const answer = await ask(conf.uri, conf.request_method, headers, conf.timeout).catch(() => null)
    if (answer === null && !conf.allow_degradation) return end(response, conf.status_on_error)
    if (answer !== null && answer.status >= 300)
      return end(response, answer.status, answer.body, named(answer, conf.client_headers))
    // Taken out, and set anew where the answer has them.
    const kept = without(request.rawHeaders, conf.upstream_headers)
    const added = answer === null ? [] : named(answer, conf.upstream_headers)
    const app = `http://127.0.0.1:${ports.app}${request.url}`
    const told = await ask(app, request.method ?? 'GET', [...kept, ...added], 5_000)
    end(response, told.status, told.body)
  }
  const server = createServer(
    (request, response) => void serve(request, response).catch(() => end(response, 502)),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const stop = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { url: `http://127.0.0.1:${port}`, stop }
}

/** In the order of no particular table of Lua: each name once. */
function question(conf: ForwardAuth, request: IncomingMessage): readonly string[] {
  const address = request.socket.remoteAddress ?? ''
  const headers = new Map([
    ['X-Forwarded-Proto', 'http'],
    ['X-Forwarded-Method', request.method ?? ''],
    ['X-Forwarded-Host', request.headers.host ?? ''],
    ['X-Forwarded-Uri', request.url ?? ''],
    ['X-Forwarded-For', address],
  ])
  for (const [name, value] of Object.entries(conf.extra_headers))
    headers.set(name, value.replace('$remote_addr', address))
  for (const name of conf.request_headers) {
    const [first] = valuesOf(request, name.toLowerCase())
    if (first !== undefined && !headers.has(name)) headers.set(name, first)
  }
  // As lua-resty-http fills in what is missing.
  return [
    'Host',
    new URL(conf.uri).host,
    'User-Agent',
    'lua-resty-http/0.17.2 (Lua) ngx_lua/10026',
    ...[...headers].flat(),
  ]
}

function valuesOf({ rawHeaders }: IncomingMessage, name: string): readonly string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === name)
}

function without(raw: readonly string[], names: readonly string[]): readonly string[] {
  const gone = names.map((name) => name.toLowerCase())
  return raw.filter((_, i) => !gone.includes(raw[i - (i % 2)]!.toLowerCase()))
}

function named({ headers }: Told, names: readonly string[]): readonly string[] {
  return names.flatMap((name) => {
    const value = headers[name.toLowerCase()]
    return typeof value === 'string' ? [name, value] : []
  })
}

function ask(url: string, method: string, headers: readonly string[], timeout: number): Promise<Told> {
  return new Promise((resolve, reject) => {
    const asking = httpRequest(
      url,
      { method, headers: [...headers], agent: false, timeout },
      async (answer) => {
        const chunks: Buffer[] = []
        for await (const chunk of answer) chunks.push(chunk as Buffer)
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) })
      },
    )
    asking.on('timeout', () => asking.destroy(new Error('timeout'))).on('error', reject)
    asking.end()
  })
}

function end(response: ServerResponse, status: number, body?: Buffer, headers: readonly string[] = []): void {
  response.writeHead(status, [...headers])
  response.end(body)
}
