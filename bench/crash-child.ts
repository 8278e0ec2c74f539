import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { WorkerReport, WorkerTask } from './crash-task.ts'

/** How a worker ended. */
export type Ending = { readonly kind: 'killed' } | { readonly kind: 'done'; readonly report: WorkerReport }

const ERRORS = 4_000
const POLL_MS = 10
const PATIENCE_MS = 120_000

/** A worker process. */
export class CrashChild {
  readonly ended: Promise<Ending>
  /** Records of the log that it has read. */
  read = 0
  errors = ''
  readonly #child: ChildProcess
  #report: WorkerReport | null = null

  constructor(program: string, task: WorkerTask) {
    this.#child = spawn(process.execPath, [program, JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-ERRORS)
    })
    let rest = ''
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line.startsWith('{')) this.#report = JSON.parse(line) as WorkerReport
        else this.read = Number(line)
      }
    })
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('close', (code, signal) => {
        if (signal === 'SIGKILL') resolve({ kind: 'killed' })
        else if (code === 0 && this.#report !== null) resolve({ kind: 'done', report: this.#report })
        else reject(new Error(`the worker ended with ${code ?? signal}: ${this.errors}`))
      })
    })
    this.ended.catch(() => undefined)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Stops the process where it is; it has then stopped. */
  async pause(): Promise<void> {
    this.#child.kill('SIGSTOP')
    await this.untilPaused()
  }

  /** Resolves when the process stands still; false when it ended instead. */
  async untilPaused(): Promise<boolean> {
    const over = this.ended.then(
      () => true,
      () => true,
    )
    for (let waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
      if ((await stateOf(this.#child.pid)) === 'T') return true
      if (await Promise.race([over, sleep(POLL_MS, false)])) return false
    }
    throw new Error('the worker does not stop')
  }

  goOn(): void {
    this.#child.kill('SIGCONT')
  }
}

/** The state letter of a process (Linux: field 3 of /proc/PID/stat), or null when it is gone. */
async function stateOf(pid: number | undefined): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return stat === null ? null : (stat.slice(stat.lastIndexOf(')') + 2)[0] ?? null)
}
