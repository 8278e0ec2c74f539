import { createHash } from 'node:crypto'
import { request } from 'node:http'
import type { Role, TokenEntry } from '../../../admin/access.ts'
import { type AdminOptions, type AdminServer, createAdminServer } from '../../../admin/server.ts'
import { MemoryControlPlane } from '../../contracts/admin/memory-control-plane.ts'
import { nightClock, sampleSeed } from '../../contracts/admin/sample-state.ts'

export const TOKENS: Record<Role, string> = {
  viewer: 'viewer-token-0123456789abcdef',
  responder: 'responder-token-0123456789abcdef',
  tuner: 'tuner-token-0123456789abcdef',
  admin: 'admin-token-0123456789abcdef',
}

export const tokenEntries: readonly TokenEntry[] = (Object.keys(TOKENS) as Role[]).map((role) => ({
  name: `a-${role}`,
  role,
  sha256: createHash('sha256').update(TOKENS[role]).digest('hex'),
}))

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The body as JSON, or undefined when it is none. */
  readonly json: unknown
}

export interface Call {
  readonly method?: string
  readonly path: string
  readonly role?: Role
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON; a string is sent as it is. */
  readonly body?: unknown
}

export interface RunningServer {
  readonly server: AdminServer
  readonly plane: MemoryControlPlane
  readonly url: string
  readonly dashboardUrl: string
  call(call: Call): Promise<Answer>
}

/** A listening admin server over the sample state; close it with `server.close()`. */
export async function runServer(over: Partial<AdminOptions> = {}): Promise<RunningServer> {
  const plane = new MemoryControlPlane(nightClock, sampleSeed())
  const server = await createAdminServer({
    controlPlane: plane,
    clock: nightClock,
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'curfew_up 1\n' }),
    tokens: tokenEntries,
    rateLimit: { requestsPerMinute: 1_000_000, anonymousPerMinute: 1_000_000 },
    ...over,
  })
  const { url, dashboardUrl } = await server.start()
  return { server, plane, url, dashboardUrl, call: (call) => send(url, call) }
}

/** Node's plain client, because `fetch` forbids setting Host and Origin. */
function send(url: string, { method = 'GET', path, role, headers = {}, body }: Call): Promise<Answer> {
  const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
  const sent = {
    ...(role && { authorization: `Bearer ${TOKENS[role]}` }),
    ...(payload !== undefined && { 'content-type': 'application/json' }),
    ...headers,
  }
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const req = request({ hostname, port, method, path, headers: sent, agent: false }, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        resolve({ status: res.statusCode ?? 0, headers: res.headers, text, json: parsed(text) })
      })
    })
    req.on('error', reject)
    req.end(payload)
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
