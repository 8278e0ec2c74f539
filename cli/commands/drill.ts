import { CurfewError } from '../../core/errors.ts'
import type { Severity } from '../../core/incident.ts'
import { adminClient } from '../admin-client.ts'
import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { canaryCall } from '../drill/canary-calls.ts'
import { CurfewAnswers } from '../drill/curfew-answers.ts'
import { Drill } from '../drill/drill.ts'
import { drillText } from '../drill/report.ts'

const TIMEOUT_MS = 10_000
const SEVERITIES: readonly Severity[] = ['low', 'medium', 'high', 'critical']

/** `curfew drill`: 0 when every link works, 1 with the name of one that does not. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  if (path === undefined) throw new CurfewError('USAGE', 'drill needs --config FILE')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  if (config.drill === undefined)
    throw new CurfewError('CONFIG_INVALID', 'the configuration has no section `drill`')
  const ask = adminClient(config, (role) => role !== 'viewer', TIMEOUT_MS)
  const least = SEVERITIES.indexOf(config.alerts.minSeverity)
  const drill = new Drill({
    config: config.drill,
    call: canaryCall(config.drill),
    curfew: new CurfewAnswers(ask, config.drill.tenant, config.drill.principal),
    now: () => io.clock.now(),
    tells: (severity) => SEVERITIES.indexOf(severity) >= least,
  })
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal)
  try {
    const report = await drill.run(stop.signal)
    io.stdout.write(isSet(args, 'json') ? `${JSON.stringify(report)}\n` : drillText(report))
    return report.broken.length === 0 && report.left === null ? 0 : 1
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal)
  }
}
