import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** `curfew run` as a child process. */
export interface CurfewProcess {
  readonly child: ChildProcess
  /** Base address of the admin API. */
  readonly admin: string
  stdout(): string
  stderr(): string
  /** Status and JSON body of an answer of the admin API. */
  api(path: string, body?: object): Promise<{ readonly status: number; readonly body: unknown }>
  /** Ends it and resolves with the exit code, or the signal that ended it. */
  end(signal: NodeJS.Signals): Promise<number | string>
}

export interface CurfewOptions {
  /** Compiled `cli/main.ts`. */
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly token?: string
}

/** What is left of a process that ended by itself. */
export interface EndedCurfew {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** The admin API answers 600 questions a minute. */
const POLL_MS = 200
const PATIENCE_MS = 120_000

function launch(options: CurfewOptions) {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, [options.program, ...options.args], {
    cwd: options.cwd,
    env: { PATH, HOME, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  const ended = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal ?? '')),
  )
  return { child, ended, stdout: () => out, stderr: () => err }
}

/** Starts it; resolves when it says that it runs, fails with what it said otherwise. */
export async function startCurfew(options: CurfewOptions): Promise<CurfewProcess> {
  const { child, ended, stdout, stderr } = launch(options)
  for (let waited = 0; !stdout().includes('curfew is running'); waited += 20) {
    if (child.exitCode !== null || child.signalCode !== null || waited > PATIENCE_MS) {
      child.kill('SIGKILL')
      throw new Error(`curfew did not start (${await ended}): ${stdout()}${stderr()}`)
    }
    await sleep(20)
  }
  const admin = /admin and dashboard at (\S+)/.exec(stdout())?.[1] ?? ''
  return {
    child,
    admin,
    stdout,
    stderr,
    api: async (path, body) => {
      const response = await fetch(`${admin}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${options.token ?? ''}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: response.status, body: await response.json() }
    },
    end: async (signal) => {
      child.kill(signal)
      return ended
    },
  }
}

/** Runs it to its own end. */
export async function runCurfew(options: CurfewOptions): Promise<EndedCurfew> {
  const { child, ended, stdout, stderr } = launch(options)
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  const code = await ended
  clearTimeout(timer)
  return { code, stdout: stdout(), stderr: stderr() }
}

/** Waits until `done` holds; fails with `what` after two minutes. */
export async function eventually<T>(what: string, question: () => Promise<T | null> | T | null): Promise<T> {
  for (let waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
    const answer = await question()
    if (answer !== null) return answer
    await sleep(POLL_MS)
  }
  throw new Error(`still waiting for ${what}`)
}
