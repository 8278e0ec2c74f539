import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../test/services/free-port.ts'
import { pin } from './cores.ts'
import { ISSUER, SECRET } from './decide-calls.ts'
import { curfew } from './latency-children.ts'

/** A server under measurement. */
export interface Server {
  readonly port: number
  /** CPU time used so far, microseconds. */
  cpu(): Promise<number>
  stop(): Promise<void>
}

/** Of `/proc/PID/stat`: the kernel counts CPU time in hundredths of a second. */
const MICROSECONDS_PER_TICK = 10_000
const UTIME = 11

/**
 * The endpoint as users have it: `curfew run` with its store and log in a folder, an empty source and an empty deny
 * list, pinned to a core.
 */
export async function startService(core: number): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-decide-'))
  const port = await freePort()
  const config = join(folder, 'curfew.json')
  await writeFile(join(folder, 'access.ndjson'), '')
  await writeFile(config, JSON.stringify(configuration(port)))
  const child = curfew(config, folder, { CURFEW_BENCH_SECRET: new TextDecoder().decode(SECRET) })
  const pid = child.process.pid!
  const stop = async (): Promise<void> => {
    await child.stop()
    await rm(folder, { recursive: true })
  }
  try {
    await child.said(/curfew is running/)
    pin(pid, core)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    port,
    cpu: async () => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return (Number(fields[UTIME]) + Number(fields[UTIME + 1])) * MICROSECONDS_PER_TICK
    },
    stop,
  }
}

function configuration(port: number): object {
  return {
    store: { kind: 'embedded', folder: './state' },
    log: { kind: 'embedded', folder: './log' },
    sources: [
      {
        name: 'nobody',
        kind: 'file',
        paths: ['./access.ndjson'],
        follow: true,
        format: 'canonical',
        gateway: { kind: 'envoy', id: 'edge' },
      },
    ],
    deadLetters: { kind: 'none' },
    enforcement: { gateways: [{ kind: 'decision', name: 'deny' }] },
    decisionEndpoint: {
      listen: `127.0.0.1:${port}`,
      keys: [{ kind: 'hs', alg: 'HS256', secretEnv: 'CURFEW_BENCH_SECRET', issuer: ISSUER }],
    },
    admin: { listen: '127.0.0.1:0', tokens: [] },
    logLevel: 'warn',
  }
}
