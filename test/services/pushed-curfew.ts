import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CurfewProcess, startCurfew } from './curfew-process.ts'
import { freePort } from './free-port.ts'
import { startWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts'

const ADMIN_TOKEN = 'pushed-admin-token-0123456789'
const PUSH_TOKEN = 'pushed-source-token-0123456789'
const WEBHOOK_SECRET = `whsec_${Buffer.from('pushed-webhook-secret-0123456789').toString('base64')}`
const LINES_AT_ONCE = 500

/** `curfew run` in a folder of its own, to which lines are pushed and which tells a webhook. */
export interface PushedCurfew {
  readonly curfew: CurfewProcess
  readonly webhook: WebhookReceiver
  /** Holds whatever it keeps. */
  readonly folder: string
  /** Base address that takes lines. */
  readonly pushUrl: string
  readonly adminToken: string
  /** Pushes lines to the source of a format, each request of which must be taken. */
  push(format: string, lines: readonly string[]): Promise<void>
  /** Body of what the admin API shows at a path, as it is. */
  shown(path: string): Promise<Buffer>
  /** Ends it at once and removes the folder. */
  close(): Promise<void>
}

export interface PushedOptions {
  /** Compiled `cli/main.ts`. */
  readonly program: string
  /** One source for each, named as its format. */
  readonly formats: readonly string[]
  /** Where it keeps things; by default in `state`, `log` and `dead-letters` of the folder. */
  readonly storage?: string
  /** Further settings. */
  readonly settings?: string
  readonly env?: Readonly<Record<string, string>>
}

const EMBEDDED = `store: { kind: embedded, folder: state }
log: { kind: embedded, folder: log }
deadLetters: { kind: file, folder: dead-letters }`

const tokenOf = (format: string) => `${PUSH_TOKEN}-${format}`
const variableOf = (format: string) => `PUSH_${format.toUpperCase().replaceAll('-', '_')}`

/** Starts it with a log level at which it says most. */
export async function startPushedCurfew(options: PushedOptions): Promise<PushedCurfew> {
  const { program, formats, storage = EMBEDDED, settings = '' } = options
  const folder = await mkdtemp(join(tmpdir(), 'curfew-pushed-'))
  const webhook = await startWebhookReceiver(WEBHOOK_SECRET)
  const port = await freePort()
  const pushUrl = `http://127.0.0.1:${port}`
  const source = (format: string) =>
    `  - { name: ${format}, kind: http, format: ${format}, gateway: { kind: kong, id: edge }, listen: '127.0.0.1:${port}', tokenEnv: ${variableOf(format)} }`
  await writeFile(
    join(folder, 'curfew.yaml'),
    `identityKeyEnv: IDENTITY_KEY
${storage}
logLevel: debug
sources:
${formats.map(source).join('\n')}
alerts: { minSeverity: low, channels: [{ name: siem, kind: webhook, url: '${webhook.url}', secretEnv: WEBHOOK_SECRET }] }
admin: { listen: 127.0.0.1:0, tokens: [{ name: test, role: admin, tokenEnv: ADMIN_TOKEN }] }
${settings}
`,
  )
  const curfew = await startCurfew({
    program,
    args: ['run', '--config', 'curfew.yaml'],
    cwd: folder,
    env: {
      IDENTITY_KEY: 'i'.repeat(40),
      ADMIN_TOKEN,
      WEBHOOK_SECRET,
      ...Object.fromEntries(formats.map((format) => [variableOf(format), tokenOf(format)])),
      ...options.env,
    },
    token: ADMIN_TOKEN,
  })
  return {
    curfew,
    webhook,
    folder,
    pushUrl,
    adminToken: ADMIN_TOKEN,
    push: async (format, lines) => {
      for (let first = 0; first < lines.length; first += LINES_AT_ONCE) {
        const response = await fetch(`${pushUrl}/ingest/${format}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${tokenOf(format)}` },
          body: `${lines.slice(first, first + LINES_AT_ONCE).join('\n')}\n`,
        })
        const answer = await response.text()
        if (response.status !== 202) throw new Error(`lines were not taken: ${response.status} ${answer}`)
      }
    },
    shown: async (path) => {
      const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
      return Buffer.from(await (await fetch(curfew.admin + path, { headers })).arrayBuffer())
    },
    close: async () => {
      await curfew.end('SIGKILL')
      await webhook.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A place in which something may be found. */
export interface Searched {
  readonly place: string
  readonly bytes: Buffer
}

/** Every file below a folder. */
export async function filesBelow(folder: string): Promise<Searched[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Promise.all(
    files.map(async (file) => ({ place: file.slice(folder.length), bytes: await readFile(file) })),
  )
}

/** What it said, to whom: its own log, and what the webhook was sent. */
export function saidBy({ curfew, webhook }: PushedCurfew): Searched[] {
  return [
    { place: 'own log', bytes: Buffer.from(curfew.stdout() + curfew.stderr()) },
    { place: 'webhook', bytes: Buffer.concat(webhook.requests.map(({ body }) => body)) },
    ...webhook.requests.map(({ headers }) => ({
      place: 'webhook headers',
      bytes: Buffer.from(JSON.stringify(headers)),
    })),
  ]
}
