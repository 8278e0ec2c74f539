import { CurfewError } from '../../core/errors.ts'
import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { DESCRIBING, describedDecision } from '../dry-run/asked-decision.ts'
import { decisionFrom } from '../dry-run/decision-file.ts'
import { dryRun } from '../dry-run/dry-run.ts'
import { dryRunJson, dryRunText } from '../dry-run/dry-run-text.ts'

/** `curfew enforcement dry-run`: prints what a decision would send; 1 when a gateway could not be told. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  if (path === undefined) throw new CurfewError('USAGE', 'enforcement dry-run needs --config FILE')
  const file = textFlag(args, 'decision')
  const described = DESCRIBING.filter((name) => args.flags.has(name))
  if (file !== undefined && described.length > 0)
    throw new CurfewError('USAGE', `--decision says it all; leave out --${described.join(', --')}`)
  const offline = isSet(args, 'offline')
  const now = io.clock.now()
  const asked = file === undefined ? describedDecision(args, now) : await decisionFrom(file, io.stdin, now)
  if (offline && asked.decision.action === 'release')
    throw new CurfewError('USAGE', '--offline: what a release would lift is known at the gateways only')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  if (config.enforcement.gateways.length === 0)
    throw new CurfewError('CONFIG_INVALID', 'enforcement.gateways is empty: there is nobody to send to')
  const only = textFlag(args, 'gateway')
  const results = await dryRun(config, {
    asked,
    offline,
    clock: io.clock,
    ...(only === undefined ? {} : { only }),
  })
  io.stdout.write(isSet(args, 'json') ? dryRunJson(asked, offline, results) : dryRunText(asked, results))
  if (results.every(({ outcome }) => outcome === 'unsupported' || outcome === 'left-out')) {
    const where = only === undefined ? 'no gateway of the configuration' : `gateway "${only}"`
    const { action, scope } = asked.decision
    const verb = only === undefined ? 'can' : 'cannot'
    throw new CurfewError('USAGE', `${where} ${verb} hold ${action} of scope ${scope.kind}: ${asked.who}`)
  }
  return results.some(({ outcome }) => outcome === 'failed') ? 1 : 0
}
