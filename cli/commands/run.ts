import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import { CurfewError } from '../../core/errors.ts'
import { type Io, numberFlag, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import type { Config } from '../config/schema.ts'
import { type Role, Service } from '../service.ts'

/** Set in the environment of worker processes by their parent. */
const ROLE_VARIABLE = 'CURFEW_ROLE'

/** `curfew run`: the service, in one process or with detecting workers beside it. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  if (path === undefined) throw new CurfewError('USAGE', 'run needs --config FILE')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const workers = numberFlag(args, 'workers') ?? 1
  const role: Role = io.env[ROLE_VARIABLE] === 'detect' ? 'detect' : workers > 1 ? 'control' : 'all'
  if (role === 'control') requireShared(config, workers)
  const logger = pino({ level: config.logLevel, base: { role } }, pino.destination({ dest: 2, sync: true }))
  const service = await Service.start({ config, role, clock: io.clock, random: Math.random, logger, stdin: io.stdin })
  const children = role === 'control' ? startWorkers(path, workers, (line) => logger.error({}, line)) : []
  if (service.admin !== null) io.stdout.write(`admin and dashboard at ${service.admin.url}\n`)
  io.stdout.write('curfew is running\n')
  const code = await Promise.race([
    stopSignal(),
    service.failed.catch((error: unknown) => {
      logger.fatal({ error: error instanceof Error ? error.message : String(error) }, 'stopping')
      return 1
    }),
  ])
  for (const child of children) child.kill('SIGTERM')
  await service.stop()
  return code
}

function requireShared(config: Config, workers: number): void {
  if (config.log.kind === 'kafka' && config.store.kind === 'redis') return
  throw new CurfewError('USAGE', `--workers ${workers} needs log.kind kafka and store.kind redis; embedded storage belongs to one process`)
}

/** Detecting workers; one that dies is started again, its partitions meanwhile belong to the others. */
function startWorkers(config: string, count: number, say: (line: string) => void): ChildProcess[] {
  const entry = fileURLToPath(new URL('../main.js', import.meta.url))
  const children: ChildProcess[] = []
  const start = (index: number): void => {
    const child = fork(entry, ['run', '--config', config], { env: { ...process.env, [ROLE_VARIABLE]: 'detect' } })
    children[index] = child
    child.on('exit', (code, signal) => {
      if (signal === 'SIGTERM' || code === 0) return
      say(`worker ${index + 1} ended (${signal ?? `exit code ${code}`}), starting it again`)
      setTimeout(() => start(index), 1_000).unref()
    })
  }
  for (let i = 0; i < count; i++) start(i)
  return children
}

function stopSignal(): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(0))
  })
}
