import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: Record<string, unknown>
  readonly result?: Record<string, unknown>
  readonly error?: { readonly message: string }
}

/** The installed Chromium, or null when there is none. */
export function findChromium(): string | null {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    } catch (error) {
      if ((error as { status?: number }).status !== 1) throw error
    }
  }
  return null
}

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-pipe',
]

/** One page of a real browser, driven over the DevTools protocol (a pipe, messages end with a zero byte). */
export class Browser {
  /** Console errors, uncaught exceptions and violations of the content security policy. */
  readonly complaints: string[] = []
  readonly #process: ChildProcess
  readonly #folder: string
  readonly #waiting = new Map<number, { resolve(m: Message): void }>()
  #session = ''
  #next = 1

  private constructor(program: string) {
    this.#folder = mkdtempSync(join(tmpdir(), 'curfew-browser-'))
    const flags = [...FLAGS, `--user-data-dir=${this.#folder}`, '--window-size=1300,900', 'about:blank']
    this.#process = spawn(program, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] })
    let rest = ''
    const output = this.#process.stdio[4] as Readable
    output.setEncoding('utf8')
    output.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\0')
      rest = parts.pop() ?? ''
      for (const part of parts) this.#receive(JSON.parse(part) as Message)
    })
  }

  static async open(program: string): Promise<Browser> {
    const browser = new Browser(program)
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true })
    browser.#session = String(sessionId)
    for (const domain of ['Runtime', 'Log', 'Page', 'Audits']) await browser.send(`${domain}.enable`)
    return browser
  }

  async send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = this.#next++
    const session = this.#session === '' ? {} : { sessionId: this.#session }
    const input = this.#process.stdio[3] as Writable
    const answer = new Promise<Message>((resolve) => this.#waiting.set(id, { resolve }))
    input.write(`${JSON.stringify({ id, method, params, ...session })}\0`)
    const message = await answer
    if (message.error !== undefined) throw new Error(`${method}: ${message.error.message}`)
    return message.result ?? {}
  }

  async goTo(url: string): Promise<void> {
    await this.send('Page.navigate', { url })
  }

  /** The value of an expression in the page. */
  async value(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })) as { result?: { value?: unknown }; exceptionDetails?: { text: string } }
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${exceptionDetails.text}`)
    return result?.value
  }

  /** Waits until an expression is truthy, at most about ten seconds. */
  async until(expression: string): Promise<void> {
    for (let i = 0; i < 200; i++) {
      if (await this.value(expression)) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(
      `never became true: ${expression}; page says: ${await this.value('document.body.innerText')}`,
    )
  }

  /** The page as a PNG. */
  async picture(options: object = {}): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', ...options })
    return Buffer.from(String(data), 'base64')
  }

  /** Asks the browser to end, so that its own children stop writing before their folder goes; insists after 5 s. */
  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once('exit', resolve))
    const insist = setTimeout(() => this.#process.kill('SIGKILL'), 5_000)
    const input = this.#process.stdio[3] as Writable
    input.on('error', () => this.#process.kill('SIGKILL'))
    input.write(`${JSON.stringify({ id: this.#next++, method: 'Browser.close' })}\0`)
    await gone
    clearTimeout(insist)
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }

  #receive(message: Message): void {
    if (message.id !== undefined) {
      this.#waiting.get(message.id)?.resolve(message)
      this.#waiting.delete(message.id)
      return
    }
    const kind = message.method ?? ''
    const severe = (message.params?.entry as { level?: string } | undefined)?.level === 'error'
    const issue = message.params?.issue as { code?: string } | undefined
    const failed = kind === 'Runtime.exceptionThrown' || issue?.code === 'ContentSecurityPolicyIssue'
    if (failed || (kind === 'Log.entryAdded' && severe)) this.complaints.push(JSON.stringify(message.params))
  }
}
