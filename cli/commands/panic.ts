import { CurfewError } from '../../core/errors.ts'
import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { cut } from '../config/problem.ts'
import { chosenGateways, gatewaysOf } from '../gateways.ts'
import { type LiftedInStore, liftInStore } from '../remembered-decisions.ts'
import { removalText, removeRules } from '../rule-removal.ts'

/** `curfew panic`: removes every rule with our mark; 0 when none is left anywhere, 1 otherwise. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  if (path === undefined) throw new CurfewError('USAGE', 'panic needs --config FILE')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const only = textFlag(args, 'gateway')
  const dryRun = isSet(args, 'dry-run')
  const choice = only === undefined ? {} : { only }
  const chosen = chosenGateways(config, choice)
  const denyList = chosen.find((gateway) => gateway.kind === 'decision')?.name ?? null
  // The gateways first: they are what hurts, and the store may not be there at all.
  const removals = [...(await removeRules(gatewaysOf(config, choice), () => true, dryRun))]
  if (dryRun) {
    io.stdout.write(removalText(removals, 'rules of ours', true))
    if (denyList !== null) io.stdout.write(`${denyList}: the deny list is only read when it is emptied\n`)
    return removals.every(({ clean }) => clean) ? 0 : 1
  }
  const options = { denyList, decisions: only === undefined, clock: io.clock, reason: 'curfew panic' }
  const lifted = denyList !== null || only === undefined ? await liftInStore(config, options) : null
  if (lifted?.denyList != null) removals.push(lifted.denyList)
  io.stdout.write(removalText(removals, 'rules of ours', false))
  if (lifted !== null) io.stdout.write(storeText(lifted, denyList))
  const denyListLeft = denyList !== null && lifted?.denyList == null
  return removals.every(({ clean }) => clean) && !denyListLeft ? 0 : 1
}

function storeText({ denyList, forgotten, trouble }: LiftedInStore, name: string | null): string {
  const lines: string[] = []
  if (trouble !== null) {
    lines.push(
      `store: cannot be used (${cut(trouble)}); a Curfew that runs on it may enforce its decisions again`,
    )
    if (name !== null) lines.push(`${name}: skipped, the deny list is in that store; stop Curfew and repeat`)
  }
  if (forgotten > 0) lines.push(`store: ${forgotten} decisions ended, a restart will not bring them back`)
  if (denyList !== null)
    lines.push(`${denyList.gateway}: a decision endpoint that still runs keeps its copy; restart it`)
  return lines.map((line) => `${line}\n`).join('')
}
