import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../../core/errors.ts'
import type { GatewayAdapter } from '../../enforcement/gateway.ts'
import { outerHolders, removableEnvelopes } from '../build-envelopes.ts'
import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { cut } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'
import { chosenGateways, gatewaysOf } from '../gateways.ts'
import { newLatch } from '../latch.ts'
import { type Latch, LatchFolder } from '../latch-folder.ts'
import { type LiftedInStore, liftInStore } from '../remembered-decisions.ts'
import { mergedRemovals, type Removal, removalText, removeRules } from '../rule-removal.ts'
import { LATCH_POLL_MS } from '../safety.ts'

/** A running Curfew has seen the latch by then, and what it had begun to put is there to be found. */
const SETTLE_MS = 4 * LATCH_POLL_MS
const MAX_LOOKS = 5

/** `curfew panic`: removes every rule with our mark and latches to observe; 0 when nothing is left anywhere. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  if (path === undefined) throw new CurfewError('USAGE', 'panic needs --config FILE')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const only = textFlag(args, 'gateway')
  const choice = only === undefined ? {} : { only }
  const gateways = [...gatewaysOf(config, choice), ...outerHolders(config, choice).map(removableEnvelopes)]
  const denyList = chosenGateways(config, choice).find(({ kind }) => kind === 'decision')?.name ?? null
  if (isSet(args, 'dry-run')) {
    const removals = await removeRules(gateways, () => true, true)
    io.stdout.write(removalText(removals, 'rules of ours', true))
    if (denyList !== null) io.stdout.write(`${denyList}: the deny list is only read when it is emptied\n`)
    return removals.every(({ clean }) => clean) ? 0 : 1
  }
  // The latch first: what is lifted must not come back.
  const latch = only === undefined ? newLatch('panic', 'curfew panic', io.clock.now()) : null
  const latched = latch === null ? null : await latchHere(config, latch, io)
  const [removals, lifted] = await Promise.all([
    removeUntilGone(gateways, latch !== null),
    denyList === null && latch === null
      ? null
      : liftInStore(config, { denyList, latch, folder: latched, clock: io.clock, reason: 'curfew panic' }),
  ])
  const all = lifted?.denyList == null ? removals : [...removals, lifted.denyList]
  io.stdout.write(removalText(all, 'rules of ours', false))
  if (lifted !== null) io.stdout.write(storeText(lifted, denyList, latched !== null))
  if (latch === null) io.stdout.write('not latched: a running Curfew goes on, here and at other gateways\n')
  else if (latched !== null || lifted?.latched)
    io.stdout.write('Curfew is latched to observe until `curfew resume --reason TEXT`\n')
  const isHeld = latch === null || latched !== null || lifted?.latched === true
  const denyListLeft = denyList !== null && lifted?.denyList == null && lifted?.takenOver !== true
  return all.every(({ clean }) => clean) && !denyListLeft && isHeld ? 0 : 1
}

/** A folder that cannot be written is no reason to leave anybody held. */
async function latchHere(config: Config, latch: Latch, io: Io): Promise<LatchFolder | null> {
  try {
    const folder = new LatchFolder(config.enforcement.folder)
    await folder.add(latch)
    return folder
  } catch (error) {
    if (!(error instanceof CurfewError)) throw error
    io.stderr.write(`${cut(error.message)}\n`)
    return null
  }
}

/** Looks again until a look finds nothing: a running Curfew may have put something before it saw the latch. */
async function removeUntilGone(
  gateways: readonly GatewayAdapter[],
  again: boolean,
): Promise<readonly Removal[]> {
  let removals = await removeRules(gateways, () => true, false)
  for (let look = 1; again && look < MAX_LOOKS; look++) {
    await sleep(SETTLE_MS)
    const more = await removeRules(gateways, () => true, false)
    removals = mergedRemovals(removals, more)
    if (more.every(({ rules, clean }) => rules.length === 0 || !clean)) break
  }
  return removals
}

function storeText(lifted: LiftedInStore, name: string | null, latched: boolean): string {
  const { denyList, forgotten, takenOver, trouble } = lifted
  const lines: string[] = []
  if (takenOver) lines.push('a running Curfew has seen the latch and lifted what it held')
  if (trouble !== null && !takenOver) {
    const where = latched ? 'a Curfew on another machine does not see the latch' : 'nothing is latched'
    lines.push(`store: cannot be used (${cut(trouble)}); ${where}`)
    if (name !== null) lines.push(`${name}: skipped, the deny list is in that store; stop Curfew and repeat`)
  }
  if (forgotten > 0) lines.push(`store: ${forgotten} decisions ended, a restart will not bring them back`)
  if (denyList !== null)
    lines.push(`${denyList.gateway}: a decision endpoint that still runs keeps its copy; restart it`)
  return lines.map((line) => `${line}\n`).join('')
}
