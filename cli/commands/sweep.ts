import { CurfewError } from '../../core/errors.ts'
import { outerHolders, removableEnvelopes } from '../build-envelopes.ts'
import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { chosenGateways, gatewaysOf } from '../gateways.ts'
import { removalText, removeRules } from '../rule-removal.ts'

/** `curfew sweep`: removes rules with our mark whose time is over; 0 when none is left, 1 otherwise. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  if (path === undefined) throw new CurfewError('USAGE', 'sweep needs --config FILE')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const only = textFlag(args, 'gateway')
  const dryRun = isSet(args, 'dry-run')
  const choice = only === undefined ? {} : { only }
  const now = io.clock.now()
  const gateways = [...gatewaysOf(config, choice), ...outerHolders(config, choice).map(removableEnvelopes)]
  const removals = await removeRules(gateways, (rule) => rule.until <= now, dryRun)
  io.stdout.write(removalText(removals, 'expired rules of ours', dryRun))
  for (const gateway of chosenGateways(config, choice)) {
    if (gateway.kind === 'decision')
      io.stdout.write(`${gateway.name}: entries of the deny list end by themselves\n`)
  }
  return removals.every(({ clean }) => clean) ? 0 : 1
}
