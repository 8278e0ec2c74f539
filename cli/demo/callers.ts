import { CANARY_NAME } from '../../core/canary.ts'

/** A consumer of the demo gateway, as Kong keeps it. */
export interface Caller {
  readonly username: string
  /** Kong's stable id of the consumer. */
  readonly id: string
  /** Row id of its JWT credential. */
  readonly credential: string
  readonly clientIp: string
  readonly userAgent: string
}

/** Who issues the tokens of the demo. */
export const ISSUER = 'https://idp.example.test/'

const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0'
const PHONE = 'orders-app/4.2 (Android 15)'

const AGENTS: readonly (readonly [username: string, userAgent: string])[] = [
  ['orders-svc', 'orders-svc/2.14.0'],
  ['warehouse-etl', 'python-requests/2.32.3'],
  ['alice', BROWSER],
  ['bruno', BROWSER],
  ['chandra', BROWSER],
  ['dilek', BROWSER],
  ['emeka', BROWSER],
  ['phone-2041', PHONE],
  ['phone-3377', PHONE],
  ['phone-4102', PHONE],
  ['phone-5590', PHONE],
  ['phone-6218', PHONE],
  ['report-cron', 'curl/8.12.1'],
  ['uptime-probe', 'blackbox-exporter/0.26.0'],
  ['partner-acme', 'acme-sync/1.9'],
  ['billing-svc', 'billing-svc/5.1.2'],
  ['search-indexer', 'search-indexer/3.0.4'],
]

/** Every caller of the demo, in a fixed order. */
export const CALLERS: readonly Caller[] = AGENTS.map(([username, userAgent], i) => ({
  username,
  id: uuid('c0', i),
  credential: uuid('a7', i),
  clientIp: `10.20.${i < 2 ? 1 : 2}.${10 + i}`,
  userAgent,
}))

/** Who drills at the demo gateway; never in its history. */
export const CANARY: Caller = {
  username: CANARY_NAME,
  id: uuid('ca', 0),
  credential: uuid('cb', 0),
  clientIp: '127.0.0.1',
  userAgent: 'curfew-drill',
}

/** The caller of that name. */
export function callerNamed(username: string): Caller {
  const caller = CALLERS.find((c) => c.username === username)
  if (caller === undefined) throw new Error(`the demo has no caller ${username}`)
  return caller
}

function uuid(kind: string, index: number): string {
  const n = index.toString(16).padStart(2, '0')
  return `${kind}e5f1${n}-3d2b-4c6a-9f10-5b7d2e8a6c${n}`
}
