import { createHash } from 'node:crypto'
import type { Call } from '../../../../bench/traffic/event-buffer.ts'
import { type Labels, parseLabels } from '../../../../bench/traffic/labels.ts'
import { Traffic } from '../../../../bench/traffic/traffic.ts'
import type { WorldPlan } from '../../../../bench/traffic/world.ts'

/** Everything that a real size has, few enough for a test. */
export const TEST_PLAN: WorldPlan = {
  tenants: [
    { name: 'northwind', principals: 160, machines: 0.06 },
    { name: 'contoso', principals: 400, machines: 0.06 },
  ],
  attacks: 26,
  light: false,
  freshKeys: 20,
}

/** A whole generated world. */
export interface Made {
  readonly lines: readonly string[]
  readonly calls: readonly Call[]
  readonly labels: Labels
  readonly labelText: string
  readonly traffic: Traffic
}

export function made(seed: number, faults = false, plan = TEST_PLAN): Made {
  const traffic = new Traffic({ size: 'small', seed, faults, plan })
  const calls: Call[] = []
  traffic.watch((call) => calls.push({ ...call }))
  const lines = [...traffic.lines()]
  const labelText = `${[...traffic.labels()].map((label) => JSON.stringify(label)).join('\n')}\n`
  return { lines, calls, labels: parseLabels(labelText), labelText, traffic }
}

export function sha256(texts: Iterable<string>): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text).update('\n')
  return hash.digest('hex')
}
