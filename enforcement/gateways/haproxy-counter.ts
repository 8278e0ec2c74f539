import { CurfewError } from '../../core/errors.ts'
import type { TrafficCounter, TrafficTotal } from '../traffic-counter.ts'
import { HaproxyRuntime } from './haproxy-runtime.ts'

export interface HaproxyCounterOptions {
  readonly gateway: string
  readonly socketPath: string
  /** Frontends whose calls are logged; empty = all. */
  readonly frontends: readonly string[]
}

/**
 * Requests of HAProxy's frontends less those that backends still work on, from `show stat` (management guide,
 * section 9.1). `CumReq` of `show info` counts questions at the Runtime API and broken connections as well, so it
 * runs ahead of the log by itself.
 */
export function haproxyCounter(options: HaproxyCounterOptions): TrafficCounter {
  const runtime = new HaproxyRuntime(options.socketPath)
  const { gateway, socketPath, frontends } = options
  return {
    gateway,
    total: async (stop) => {
      const stat = await runtime.command('show stat', stop)
      const pid = /^Pid: (\d{1,10})$/m.exec(await runtime.command('show info', stop))?.[1]
      const requests = pid === undefined ? null : servedRequests(stat, frontends)
      if (pid === undefined || requests === null) {
        throw new CurfewError('GATEWAY_UNREACHABLE', `HAProxy at ${socketPath}: statistics in another form`, {
          retriable: true,
        })
      }
      return { epoch: pid, requests } satisfies TrafficTotal
    },
  }
}

/** Null when the table does not have the columns that are needed. */
export function servedRequests(csv: string, frontends: readonly string[]): number | null {
  const [header = '', ...rows] = csv.split('\n')
  const names = header.replace(/^# /, '').split(',')
  const column = (name: string) => names.indexOf(name)
  const [proxy, kind, total, current, queued] = ['pxname', 'svname', 'req_tot', 'scur', 'qcur'].map(column)
  if ([proxy, kind, total, current, queued].some((at) => at === -1)) return null
  let requests = 0
  let found = 0
  for (const row of rows) {
    const cells = row.split(',')
    if (cells[kind!] === 'BACKEND') requests -= countIn(cells[current!]) + countIn(cells[queued!])
    if (cells[kind!] !== 'FRONTEND') continue
    if (frontends.length > 0 && !frontends.includes(cells[proxy!]!)) continue
    requests += countIn(cells[total!])
    found++
  }
  return found === 0 ? null : Math.max(0, requests)
}

function countIn(cell: string | undefined): number {
  return cell !== undefined && /^\d{1,15}$/.test(cell) ? Number(cell) : 0
}
