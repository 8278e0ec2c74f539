import { describe, expect, it } from 'vitest'
import type { Config } from '../../../cli/config/schema.ts'
import type { AskedDecision } from '../../../cli/dry-run/asked-decision.ts'
import { type DryResult, type DryRunOptions, dryRun, wantedAt } from '../../../cli/dry-run/dry-run.ts'
import { dryRunJson, dryRunText } from '../../../cli/dry-run/dry-run-text.ts'
import { type Clock, wallTime } from '../../../core/time.ts'
import { onePass } from '../../../enforcement/dry-run/pass.ts'
import type { GatewayAdapter } from '../../../enforcement/gateway.ts'

/** One gateway of a configuration with a control plane that is watched. */
export interface DryBench {
  readonly config: Config
  /** Decisions in the order in which they are made. */
  readonly asked: readonly AskedDecision[]
  /** Texts that must not be printed. */
  readonly secrets: readonly string[]
  /** The adapters as a Curfew that acts has them. */
  readonly live: readonly GatewayAdapter[]
  /** Everything that the control plane holds. */
  state(): Promise<string>
  /** What has reached the control plane and changes something, oldest first, as {@link DryBench.words} writes it. */
  writes(): readonly string[]
  /** A result's writes in the same words. */
  words(result: DryResult): readonly string[]
  /** Stops the control plane; twice is once. */
  close(): Promise<void>
  /** What a dry run offline notes where only the control plane knows what would be sent. */
  readonly unknownOffline?: RegExp
  /** Whether the place of a write among the others matters; it does when not given. */
  inOrder?(line: string): boolean
}

/** A bench to open for each check. */
export interface DryCase {
  readonly name: string
  readonly skip?: string | null
  open(): Promise<DryBench>
}

/** What is checked: the dry run, or a twin of it that is wrong. */
export type DryRun = (config: Config, options: DryRunOptions) => Promise<readonly DryResult[]>

const NOW = Date.now()
/** Control planes compare ends of rules with their own clocks, so the checks take the present, once. */
export const CLOCK: Clock = { now: () => wallTime(NOW) }

async function shownOf(run: DryRun, { config, live }: DryBench, asked: AskedDecision) {
  const results = await run(config, { asked, offline: false, clock: CLOCK })
  const failed = results.filter(({ outcome }) => outcome === 'failed')
  expect(failed.map(({ gateway, detail }) => `${gateway}: ${detail}`)).toEqual([])
  expect(results.map(({ gateway }) => gateway)).toEqual(live.map(({ name }) => name))
  return results
}

async function applied({ config, live }: DryBench, asked: AskedDecision): Promise<void> {
  for (const adapter of live) {
    const wanted = wantedAt(config, asked, adapter, CLOCK)
    if (wanted !== null) await onePass(adapter, wanted.desired, CLOCK)
  }
}

/** Writes whose place does not matter, last and sorted. */
function arranged({ inOrder = () => true }: DryBench, lines: readonly string[]): readonly string[] {
  return [...lines.filter(inOrder), ...lines.filter((line) => !inOrder(line)).sort()]
}

type Check = (run: DryRun, bench: DryBench) => Promise<void>

/** The checks by name. */
export const DRY_RUN_CHECKS: Readonly<Record<string, Check>> = {
  'nothing is written': async (run, bench) => {
    for (const asked of bench.asked) {
      const [before, writes] = [await bench.state(), bench.writes().length]
      await shownOf(run, bench, asked)
      expect(bench.writes().slice(writes)).toEqual([])
      expect(await bench.state()).toBe(before)
      await applied(bench, asked)
    }
  },
  'what is shown is what is sent': async (run, bench) => {
    let sent = 0
    for (const asked of bench.asked) {
      const results = await shownOf(run, bench, asked)
      const from = bench.writes().length
      await applied(bench, asked)
      const writes = bench.writes().slice(from)
      const shown = results.flatMap((result) => bench.words(result))
      expect(arranged(bench, shown)).toEqual(arranged(bench, writes))
      sent += writes.length
    }
    expect(sent).toBeGreaterThan(bench.asked.length - 1)
  },
  'no secret is shown': async (run, bench) => {
    for (const asked of bench.asked) {
      const results = await shownOf(run, bench, asked)
      const text = dryRunText(asked, results) + dryRunJson(asked, false, results)
      for (const secret of bench.secrets) expect(text).not.toContain(secret)
      await applied(bench, asked)
    }
  },
  'nobody is needed offline': async (run, bench) => {
    await bench.close()
    const decisions = bench.asked.filter(({ decision }) => decision.action !== 'release')
    let shown = 0
    for (const asked of decisions) {
      const results = await run(bench.config, { asked, offline: true, clock: CLOCK })
      for (const { outcome, detail, steps, notes } of results) {
        expect(detail ?? '').not.toContain('UNREACHABLE')
        if (bench.unknownOffline !== undefined) expect(notes.join('\n')).toMatch(bench.unknownOffline)
        expect(steps.filter(({ sent }) => sent)).toEqual([])
        if (outcome === 'sends') shown++
      }
    }
    if (bench.unknownOffline === undefined) expect(shown).toBeGreaterThan(0)
    else expect(shown).toBe(0)
  },
}

/** Runs every check over a case. */
export function dryRunContract(dry: DryCase): void {
  describe.skipIf((dry.skip ?? null) !== null)(`a dry run at ${dry.name}`, () => {
    it.each(Object.keys(DRY_RUN_CHECKS))('%s', (check) => runDryCheck(check, dry, dryRun))
  })
}

/** Runs one check; rejects where it does not hold. */
export async function runDryCheck(check: string, dry: DryCase, run: DryRun): Promise<void> {
  const bench = await dry.open()
  try {
    await DRY_RUN_CHECKS[check]!(run, bench)
  } finally {
    await bench.close()
  }
}
