import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { gaussian, seededRandom } from './seeded-random.ts'

export interface CorpusOptions {
  readonly lines: number
  readonly principals: number
  readonly seed: number
  /** Hours of event time that the lines span. */
  readonly hours: number
}

/** The corpus of every speed figure: 100,000 principals, Zipf 1.0, Kong lines of 900 to 950 bytes. */
export const STANDARD: CorpusOptions = { lines: 2_000_000, principals: 100_000, seed: 1, hours: 48 }

const ROUTES = ['orders', 'customers', 'invoices', 'payments', 'products', 'shipments', 'reports', 'users']
const AGENTS = [
  'acme-ios/4.2 (iPhone; iOS 17.5)',
  'orders-svc/2.14.0',
  'Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0',
  'python-requests/2.32',
]
const START = Date.UTC(2026, 8, 7)

/** Path of the corpus file, generated on first use into the cache folder (outside the repository). */
export function corpusFile(options: CorpusOptions = STANDARD): string {
  const folder = join(process.env['CURFEW_CACHE'] ?? join(homedir(), '.cache', 'curfew'), 'corpus')
  const name = createHash('sha256')
    .update(JSON.stringify(['v2', options]))
    .digest('hex')
    .slice(0, 12)
  const path = join(folder, `kong-${name}.ndjson`)
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  const fd = openSync(`${path}.part`, 'w')
  let pending = ''
  for (const line of corpusLines(options)) {
    pending += line
    if (pending.length > 4_000_000) {
      writeAll(fd, pending)
      pending = ''
    }
  }
  writeAll(fd, pending)
  closeSync(fd)
  renameSync(`${path}.part`, path)
  return path
}

/** Mean bytes per line of a corpus file. */
export function meanLineBytes(path: string, lines: number): number {
  return statSync(path).size / lines
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
}

/** Kong log lines with line ends, in time order; the same options give the same bytes. */
export function* corpusLines(options: CorpusOptions): Iterable<string> {
  const random = seededRandom(options.seed)
  const pick = zipf(options.principals, random)
  const step = (options.hours * 3_600_000) / options.lines
  for (let i = 0; i < options.lines; i++) {
    yield kongLine(i, Math.round(START + i * step), pick(), random)
  }
}

/** Ranks from 0 with probability proportional to 1 / (rank + 1). */
export function zipf(n: number, random: () => number): () => number {
  const cumulative = new Float64Array(n)
  let sum = 0
  for (let i = 0; i < n; i++) {
    sum += 1 / (i + 1)
    cumulative[i] = sum
  }
  return () => {
    const x = random() * sum
    let low = 0
    let high = n - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (cumulative[middle]! < x) low = middle + 1
      else high = middle
    }
    return low
  }
}

function kongLine(i: number, time: number, principal: number, random: () => number): string {
  const route = ROUTES[(random() * ROUTES.length) | 0]!
  const list = random() < 0.3
  const object = 1000 + ((random() * 5000) | 0)
  const path = list ? `/v1/${route}?page=${1 + ((random() * 9) | 0)}` : `/v1/${route}/${object}`
  const records = list ? 1 + ((random() * 25) | 0) : 1
  const status = random() < 0.97 ? 200 : random() < 0.5 ? 404 : 500
  const size = Math.round(300 + records * 180 * Math.exp(0.3 * gaussian(random)))
  const id = (0x10000000 + i).toString(16).padStart(32, 'a')
  const uuid = `00000000-0000-4000-8000-${principal.toString(16).padStart(12, '0')}`
  const ip = `10.${(principal >> 16) & 255}.${(principal >> 8) & 255}.${principal & 255}`
  const latency = 5 + ((random() * 80) | 0)
  return `{"response":{"size":${size},"status":${status},"headers":{"content-type":"application/json; charset=utf-8","x-records-returned":"${records}","x-kong-request-id":"${id}"}},"route":{"id":"b6a4f3c0-7c0b-4f55-8a5c-7f7c5d7f0a11","name":"${route}","paths":["/v1/${route}"]},"workspace":"f381e34e-5c25-4e65-b91b-3c0a86cfc393","client_ip":"${ip}","request":{"id":"${id}","headers":{"host":"api.example.test","user-agent":"${AGENTS[principal % 4]}","authorization":"REDACTED","accept":"application/json"},"uri":"${path}","size":${350 + (i % 200)},"method":"GET","querystring":{}},"started_at":${time},"source":"upstream","upstream_status":"${status}","latencies":{"kong":1,"proxy":${latency},"request":${latency + 1}},"service":{"id":"2f1f7a2e-54a6-4a6e-9a9e-0d8e1c3f7b11","name":"${route}"},"consumer":{"id":"${uuid}","username":"user-${principal}"},"authenticated_entity":{"id":"${uuid}"}}\n`
}
