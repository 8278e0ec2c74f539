import { describe, expect, it } from 'vitest'
import { type DryResult, type DryRunOptions, dryRun, wantedAt } from '../../../cli/dry-run/dry-run.ts'
import { gatewaysOf } from '../../../cli/gateways.ts'
import { onePass } from '../../../enforcement/dry-run/pass.ts'
import type { DryStep } from '../../../enforcement/dry-run/recorder.ts'
import { DRY_CASES } from './cases.ts'
import { CLOCK, type DryRun, runDryCheck } from './dry-run-contract.ts'

/** Changes the writes of a result. */
function altered(change: (writes: readonly DryStep[]) => readonly DryStep[]): DryRun {
  return async (config, options) => {
    const results = await dryRun(config, options)
    return results.map((result): DryResult => {
      const reads = result.steps.filter(({ effect }) => effect === 'read')
      return {
        ...result,
        steps: [...reads, ...change(result.steps.filter(({ effect }) => effect === 'write'))],
      }
    })
  }
}

async function leaking(config: Parameters<DryRun>[0], options: DryRunOptions) {
  const results = await dryRun(config, options)
  for (const adapter of gatewaysOf(config)) {
    const wanted = wantedAt(config, options.asked, adapter, CLOCK)
    if (wanted !== null) await onePass(adapter, wanted.desired, CLOCK)
  }
  return results
}

function inClear(step: DryStep): DryStep {
  return step.kind === 'http'
    ? { ...step, headers: { ...step.headers, authorization: 'canary-kong-token' } }
    : step
}

/** Dry runs that are wrong, and the check that must notice. */
const TWINS: readonly { readonly name: string; readonly failing: string; readonly run: DryRun }[] = [
  { name: 'lets writes through', failing: 'nothing is written', run: leaking },
  {
    name: 'leaves a write out',
    failing: 'what is shown is what is sent',
    run: altered((writes) => writes.slice(1)),
  },
  {
    name: 'shows another order',
    failing: 'what is shown is what is sent',
    run: altered((writes) => writes.toReversed()),
  },
  {
    name: 'shows another body',
    failing: 'what is shown is what is sent',
    run: altered((writes) =>
      writes.map((step) => (step.kind === 'http' ? { ...step, body: `${step.body ?? ''} ` } : step)),
    ),
  },
  {
    name: 'shows another method',
    failing: 'what is shown is what is sent',
    run: altered((writes) =>
      writes.map((step) => (step.kind === 'http' ? { ...step, method: 'GET' } : step)),
    ),
  },
  {
    name: 'shows a write too many',
    failing: 'what is shown is what is sent',
    run: altered((writes) => [...writes, ...writes.slice(0, 1)]),
  },
  {
    name: 'asks although it is offline',
    failing: 'nobody is needed offline',
    run: (config, options) => dryRun(config, { ...options, offline: false }),
  },
  { name: 'shows a secret', failing: 'no secret is shown', run: altered((writes) => writes.map(inClear)) },
]

const kong = DRY_CASES[0]!

describe('the contract of dry runs rejects one that', () => {
  it.each(TWINS)('$name', async ({ failing, run }) => {
    await expect(runDryCheck(failing, kong, run)).rejects.toThrow()
  })
})
