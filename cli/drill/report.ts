import { cut } from '../config/problem.ts'
import type { DrillReport } from './drill.ts'

/** A report as people read it. */
export function drillText(report: DrillReport): string {
  const { calls, action, detectedMs, decidedMs, refusedMs, releasedMs, told, untold, broken, left } = report
  const lines = [
    step('detected', detectedMs),
    step(action === null ? 'decided' : `decided (${action})`, decidedMs),
    step('refused by the gateway', refusedMs),
    step('served again after it was lifted', releasedMs),
    `calls made: ${calls}`,
    ...told.map((name) => `alert channel ${name}: told`),
    ...untold.map((name) => `alert channel ${name}: not tried, by its severity or budget`),
    ...broken.map(({ link, why }) => `BROKEN: ${cut(link)}: ${cut(why)}`),
    ...(left === null ? [] : [`not cleaned up: ${cut(left)}`]),
    broken.length === 0 ? 'every link works' : '',
  ]
  return `${lines.filter((line) => line !== '').join('\n')}\n`
}

function step(what: string, ms: number | null): string {
  return `${what}: ${ms === null ? '-' : `${(ms / 1_000).toFixed(2)} s`}`
}
