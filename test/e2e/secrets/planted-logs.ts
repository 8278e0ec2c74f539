import { readFileSync } from 'node:fs'
import { FORMAT_NAMES } from '../../../ingest/formats/catalog.ts'
import { type Canary, canary, KINDS, leavesOf, withLeaf } from './planting.ts'

type Sample = Parameters<typeof leavesOf>[0]

/** Formats whose samples here are the first lines of their sample files. */
const JSON_FORMATS = FORMAT_NAMES.filter((name) => !['kong', 'canonical', 'combined'].includes(name))

/** The first sample line of a format, at another time. */
function sampleLike(name: string): (time: number, n: number) => Sample {
  const file = new URL(`../../../samples/formats/${name}.log`, import.meta.url)
  const [first = ''] = readFileSync(file, 'utf8').split('\n', 1)
  const object = JSON.parse(first) as { readonly jsonPayload?: object }
  const line = { note: 'x', ...(object.jsonPayload ?? object) }
  return (time, n) => timed({ ...line, ...(name === 'nginx' ? { request_id: String(n) } : {}) }, time)
}

/** With its times, however they are written, moved to another one. */
function timed(line: object, time: number): Sample {
  const at: Readonly<Record<string, string | number>> = {
    client_received_start_ms: String(time),
    client_sent_end_ms: String(time),
    requestTimeEpoch: String(time),
    ts: time / 1_000,
    ts_ms: time,
    start_time: 'response' in line ? time : new Date(time).toISOString(),
    timestamp: new Date(time).toISOString(),
    eventTime: new Date(time).toISOString(),
    StartUTC: new Date(time).toISOString(),
    time,
  }
  const moved = Object.entries(line).map(([key, value]: [string, unknown]) => [key, at[key] ?? value])
  return Object.fromEntries(moved) as Sample
}

/** A line of each format with every member that the format reads, and a few that it does not. */
export const SAMPLES: Readonly<Record<string, (time: number, n: number) => Sample>> = {
  kong: (time, n) => ({
    started_at: time,
    client_ip: '203.0.113.9',
    request: {
      id: `7a1f0c${String(n).padStart(26, '0')}`,
      method: 'GET',
      uri: '/v1/orders/7',
      url: 'http://gateway:8000/v1/orders/7',
      size: 300,
      querystring: { page: '1' },
      headers: {
        host: 'api.example.test',
        'user-agent': 'orders/1.4',
        authorization: 'x',
        apikey: 'x',
        'x-api-key': 'x',
        cookie: 'x',
        referer: 'https://app.example.test/',
        'x-request-id': 'x',
      },
    },
    response: {
      status: 200,
      size: 900,
      headers: {
        'x-records-returned': '3',
        'set-cookie': 'x',
        'content-range': 'items 0-2/9',
        location: '/x',
      },
    },
    latencies: { kong: 1, proxy: 8, request: 9 },
    tries: [{ ip: '10.0.0.3', port: 8080 }],
    route: { name: 'orders', paths: ['/v1'] },
    service: { name: 'orders', host: 'orders.internal' },
    consumer: { id: 'c-17', username: 'orders-svc', custom_id: 'o-1' },
    authenticated_entity: { id: 'cred-17' },
    jwt: {
      iss: 'https://idp.test',
      sub: 'orders',
      jti: 'j-1',
      iat: 1_700_000_000,
      exp: 1_900_000_000,
      scope: 'read',
    },
    workspace: 'default',
    source: 'upstream',
    upstream_status: '200',
  }),
  canonical: (time, n) => ({
    id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    time,
    tenant: 'other',
    principal: { kind: 'consumer', id: 'c-9', label: 'billing', verified: true },
    parents: ['org:acme'],
    token: {
      iss: 'https://idp.test',
      sub: 'billing',
      jti: 'j-2',
      iat: 1_700_000_000,
      exp: 1_900_000_000,
      scopes: ['read'],
    },
    credential: 'cred-9',
    clientIp: '203.0.113.10',
    userAgent: 'billing/2',
    method: 'GET',
    route: '/v1/bills/{id}',
    path: '/v1/bills/9',
    objectIds: ['9'],
    status: 200,
    latencyMs: 4,
    requestBytes: 10,
    responseBytes: 900,
    records: 2,
    recordsFrom: 'header',
    gateway: { kind: 'x', id: 'y' },
    note: 'x',
  }),
  ...Object.fromEntries(JSON_FORMATS.map((name) => [name, sampleLike(name)])),
}

/**
 * Members by which the gateway names a caller, its owner or its credential. What looks random there is an
 * identifier, and an e-mail address is a name: both are kept (docs/decisions). Tokens are not, even there.
 */
const NAMES =
  /^(?:jwt_(?:iss|sub|jti)|developer_(?:app|id)|apiKeyId|principalId|iss|sub|jti|curfew_(?:iss|sub|jti)|request_X-Curfew-(?:Issuer|Subject|Token)|user_id|alias|org_id|oauth_id|userIdentity\/.*|actor\/.*|consumer\/.*|authenticated_entity\/id|jwt\/(?:iss|sub|jti)|principal\/.*|parents\/.*|token\/(?:iss|sub|jti)|credential)$/
const IDENTIFIERS: readonly Canary['kind'][] = ['api-key', 'e-mail']

/** Where a line states the path: `request.uri` of Kong, `url.path` of OCSF and so on. */
function targetOf(sample: Sample): readonly string[] {
  const isPath = (leaf: readonly string[]) =>
    /^(?:path|uri|raw_path|RequestPath|eventName)$/.test(leaf.at(-1) ?? '')
  return leavesOf(sample).find(isPath) ?? ['path']
}

/** Lines of the combined format with a secret in each place where a client writes. */
export function plantedTexts(time: number): { lines: string[]; canaries: Canary[] } {
  const at = new Date(time).toUTCString().replace(/^\w+, (\d+) (\w+) (\d+) (\S+) GMT$/, '$1/$2/$3:$4 +0000')
  const write = (user: string, uri: string, referer: string, agent: string) =>
    `203.0.113.9 - ${user} [${at}] "GET ${uri} HTTP/1.1" 200 900 "${referer}" "${agent}"`
  const places: readonly (readonly [string, (text: string) => string])[] = [
    ['user', (t) => write(encodeURIComponent(t), '/', '-', 'a')],
    ['query', (t) => write('-', `/v1/orders?id=${encodeURIComponent(t)}`, '-', 'a')],
    ['segment', (t) => write('-', `/v1/orders/${encodeURIComponent(t)}`, '-', 'a')],
    ['referer', (t) => write('-', '/', t, 'a')],
    ['agent', (t) => write('-', '/', '-', t)],
  ]
  const lines: string[] = []
  const canaries: Canary[] = []
  for (const [place, line] of places) {
    for (const kind of KINDS) {
      const secret = canary(kind, `combined ${place}`)
      canaries.push(secret)
      lines.push(line(secret.text), line(secret.text).slice(0, -2))
    }
  }
  return { lines, canaries }
}

/**
 * Lines with one secret each, in every member, as it is and percent-encoded, and the same lines damaged.
 * `inNames`: also where it is a name.
 */
export function plantedLines(
  format: string,
  time: number,
  kinds: readonly Canary['kind'][] = KINDS,
  inNames = false,
): { lines: string[]; canaries: Canary[] } {
  const sample = SAMPLES[format]!
  const lines: string[] = []
  const canaries: Canary[] = []
  let n = 0
  const plant = (
    where: readonly string[],
    kind: Canary['kind'],
    write: (text: string) => string,
    how: string,
  ) => {
    const place = where.join('/')
    if (!inNames && IDENTIFIERS.includes(kind) && NAMES.test(place)) return
    const secret = canary(kind, `${format} ${place} (${how})`)
    canaries.push(secret)
    const base = sample(time, ++n)
    const line = JSON.stringify(withLeaf(base, where, write(secret.text)))
    lines.push(line)
    if (how !== 'plain') return
    // Cut behind the secret, a member twice, and a status that is none: all end as dead letters.
    const end = line.indexOf(JSON.stringify(secret.text).slice(1, -1)) + secret.text.length + 2
    lines.push(
      line.slice(0, end),
      line.replace('{', '{"status":1,"status":2,'),
      line.replace(/"status":200/, '"status":"no"'),
    )
  }
  for (const leaf of leavesOf(sample(time, 0))) {
    for (const kind of kinds) {
      plant(leaf, kind, (text) => text, 'plain')
      plant(leaf, kind, (text) => encodeURIComponent(text), 'encoded')
    }
  }
  const target = targetOf(sample(time, 0))
  for (const kind of kinds) {
    plant(target, kind, (text) => `/v1/reset/${encodeURIComponent(text)}/done`, 'segment')
    plant(target, kind, (text) => `/v1/orders?id=${encodeURIComponent(text)}&x=1`, 'id in the query')
    plant(target, kind, (text) => `/v1/orders;sid=${encodeURIComponent(text)}/7`, 'matrix parameter')
    plant(target, kind, (text) => `/v1/orders/${Buffer.from(text).toString('base64url')}`, 'base64 segment')
  }
  return { lines, canaries }
}
