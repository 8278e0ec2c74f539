import { type ChildProcess, fork, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What the bare chain is told. */
export interface BareTask {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly socketPath: string
  readonly mapFolder: string
}

/** What the producer of the background load is told. */
export interface LoadTask {
  readonly brokers: readonly string[]
  readonly topic: string
}

export type LoadOrder =
  | { readonly kind: 'burst'; readonly count: number }
  | { readonly kind: 'steady'; readonly perSecond: number }
  | { readonly kind: 'count' }
  | { readonly kind: 'stop' }

/** A process of ours: what it says, and its end. */
export class Child {
  readonly process: ChildProcess
  readonly #name: string
  readonly #ended: Promise<void>
  #errors = ''
  #output = ''
  #stopping = false
  /** Rejects when the process ends although nobody asked it to. */
  readonly failed: Promise<never>

  constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.process = child
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-4_000)
    })
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-4_000)
    })
    this.#ended = new Promise((resolve) => child.once('close', () => resolve()))
    this.failed = this.#ended.then(() => {
      if (this.#stopping) return new Promise<never>(() => undefined)
      throw new Error(`${this.#name} ended with ${child.exitCode ?? child.signalCode}: ${this.#errors}`)
    })
    this.failed.catch(() => undefined)
  }

  /** The first match in what the process printed. */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    const seen = (async () => {
      for (;;) {
        const match = pattern.exec(this.#output)
        if (match !== null) return match
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })()
    return await Promise.race([seen, this.failed])
  }

  /** The next message that the process sends. */
  async message(): Promise<unknown> {
    const next = new Promise((resolve) => this.process.once('message', resolve))
    return await Promise.race([next, this.failed])
  }

  /** SIGTERM, and SIGKILL for one that is not gone after five seconds. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.process.kill('SIGTERM')
    const patience = setTimeout(() => this.process.kill('SIGKILL'), 5_000)
    await this.#ended
    clearTimeout(patience)
  }
}

function program(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url))
}

/** Starts a program of this folder; its one argument is the task as JSON. */
export function forked(name: 'bare' | 'load', task: BareTask | LoadTask): Child {
  const child = fork(program(`./latency-${name}.js`), [JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  return new Child(name, child)
}

/** Starts `curfew run` in a folder of its own. */
export function curfew(config: string, folder: string, environment: Readonly<Record<string, string>>): Child {
  // As `npm start` runs it.
  const args = ['--max-semi-space-size=64', program('../cli/main.js'), 'run', '--config', config]
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return new Child('curfew run', child)
}
