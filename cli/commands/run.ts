import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import { CurfewError } from '../../core/errors.ts'
import { type Io, numberFlag, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import type { Config } from '../config/schema.ts'
import { collectRarely } from '../garbage.ts'
import { type Role, Service } from '../service.ts'

const RESTART_MS = 1_000
/** Set in the environment of worker processes by their parent. */
const ROLE_VARIABLE = 'CURFEW_ROLE'

/** `curfew run`: the service, in one process or with detecting workers beside it. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  if (path === undefined) throw new CurfewError('USAGE', 'run needs --config FILE')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const count = numberFlag(args, 'workers') ?? 1
  const role: Role = io.env[ROLE_VARIABLE] === 'detect' ? 'detect' : count > 1 ? 'control' : 'all'
  if (role === 'control') requireShared(config, count)
  const logger = pino({ level: config.logLevel, base: { role } }, pino.destination({ dest: 2, sync: true }))
  collectRarely()
  const service = await Service.start({
    config,
    role,
    clock: io.clock,
    random: Math.random,
    logger,
    stdin: io.stdin,
  })
  const workers = role === 'control' ? new Workers(path, (line) => logger.error({}, line)) : null
  workers?.start(count)
  if (service.admin !== null) io.stdout.write(`admin and dashboard at ${service.admin.url}\n`)
  io.stdout.write('curfew is running\n')
  const code = await Promise.race([
    stopSignal(role),
    service.failed.catch((error: unknown) => {
      logger.fatal({ error: error instanceof Error ? error.message : String(error) }, 'stopping')
      return 1
    }),
  ])
  await workers?.stop()
  try {
    await service.stop()
  } catch (error) {
    // Nothing is lost by it: what was not committed is read again at the next start.
    logger.fatal(
      { error: error instanceof Error ? error.message : String(error) },
      'stopped before all was committed',
    )
    return 1
  } finally {
    // The channel to a parent would keep an ended worker alive.
    if (role === 'detect' && process.connected) process.disconnect()
  }
  return code
}

function requireShared(config: Config, workers: number): void {
  if (config.log.kind === 'kafka' && config.store.kind === 'redis') return
  throw new CurfewError(
    'USAGE',
    `--workers ${workers} needs log.kind kafka and store.kind redis; embedded storage belongs to one process`,
  )
}

/** Detecting workers; one that dies is started again, its partitions meanwhile belong to the others. */
class Workers {
  private readonly config: string
  private readonly say: (line: string) => void
  private readonly children = new Map<number, ChildProcess>()
  private readonly restarts = new Set<NodeJS.Timeout>()
  private stopping = false

  constructor(config: string, say: (line: string) => void) {
    this.config = config
    this.say = say
  }

  start(count: number): void {
    for (let i = 1; i <= count; i++) this.startOne(i)
  }

  private startOne(index: number): void {
    const entry = fileURLToPath(new URL('../main.js', import.meta.url))
    const env = { ...process.env, [ROLE_VARIABLE]: 'detect' }
    const child = fork(entry, ['run', '--config', this.config], { env })
    this.children.set(index, child)
    child.once('exit', (code, signal) => {
      this.children.delete(index)
      if (this.stopping) return
      this.say(`worker ${index} ended (${signal ?? `exit code ${code}`}), starting it again`)
      const restart = setTimeout(() => {
        this.restarts.delete(restart)
        this.startOne(index)
      }, RESTART_MS)
      this.restarts.add(restart)
    })
  }

  /** Resolves when all have committed and ended. */
  async stop(): Promise<void> {
    this.stopping = true
    for (const restart of this.restarts) clearTimeout(restart)
    const ended = [...this.children.values()].map(
      (child) => new Promise((resolve) => child.once('exit', resolve)),
    )
    for (const child of this.children.values()) child.kill('SIGTERM')
    await Promise.all(ended)
  }
}

function stopSignal(role: Role): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(0))
    // A worker without its parent would go on unseen.
    if (role === 'detect') process.once('disconnect', () => resolve(0))
  })
}
