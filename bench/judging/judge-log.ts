import { CurfewError } from '../../core/errors.ts'
import type { AccessEvent } from '../../core/event.ts'
import { HAPROXY_WORST_CASE_DELAY_MS } from '../../enforcement/gateways/haproxy.ts'
import { KONG_WORST_CASE_DELAY_MS } from '../../enforcement/gateways/kong.ts'
import type { Labels } from '../traffic/labels.ts'
import { type Call, CallBook } from './call-book.ts'
import { controls } from './controls.ts'
import { EngineRun, judgedConfig, readCalls } from './engine-run.ts'
import { type DecisionLine, HoldBook } from './hold-book.ts'
import { type AlertLine, IncidentBook } from './incident-book.ts'
import { BUDGETS, MAIN_BUDGET } from './rules.ts'
import { ScoreBook } from './score-book.ts'
import type { BudgetRecord, SeedRecord } from './seed-record.ts'
import { ShareBook } from './share-book.ts'
import { Truth } from './truth.ts'

/** Gateways whose stated delay is counted; the log is Kong's, so its delay is the one that figures are held to. */
export const DELAYS = { kong: KONG_WORST_CASE_DELAY_MS, haproxy: HAPROXY_WORST_CASE_DELAY_MS } as const
/** Name of the engine among the scorers. */
export const ENGINE = 'curfew'

interface ScoreLine {
  readonly score: number | null
  readonly surprise: number | null
}

class BudgetRun {
  readonly incidents: IncidentBook
  readonly holds = new HoldBook(Object.values(DELAYS))
  readonly engine: EngineRun
  private readonly budget: number

  constructor(truth: Truth, budget: number, call: Call, scores: ScoreBook, onScore?: (text: string) => void) {
    this.budget = budget
    this.incidents = new IncidentBook(truth)
    const place = (episode: string) => scores.placeOf(episode)
    this.engine = new EngineRun(judgedConfig(truth.header, truth.allowed, budget), {
      alert: (text) => this.incidents.alert(JSON.parse(text) as AlertLine, call, place),
      decision: (text) => this.holds.decide(JSON.parse(text) as DecisionLine, call),
      ...(onScore === undefined ? {} : { score: onScore }),
    })
  }

  record(): BudgetRecord {
    const { alarms, credits } = this.incidents
    return { budget: this.budget, alarms, credits, actions: this.holds.actions, left: this.holds.left }
  }
}

/** One log under judgement: one pass, the engine once per budget, the controls beside it. */
class LogJudgement {
  readonly calls: CallBook
  private readonly truth: Truth
  private readonly scores: ScoreBook
  private readonly shares = new ShareBook()
  private readonly controls = controls()
  private readonly runs: readonly BudgetRun[]
  /** Surprise of the engine, then the controls' scores; of the running call. */
  private readonly given: (number | null)[]
  private score: number | null = null

  constructor(truth: Truth) {
    this.truth = truth
    this.calls = new CallBook(truth)
    this.given = new Array(1 + this.controls.length).fill(null)
    this.scores = new ScoreBook(truth, this.given.length)
    const onScore = (text: string) => this.takeScore(JSON.parse(text) as ScoreLine)
    this.runs = BUDGETS.map(
      (budget) =>
        new BudgetRun(
          truth,
          budget,
          this.calls.call,
          this.scores,
          budget === MAIN_BUDGET ? onScore : undefined,
        ),
    )
  }

  private takeScore(line: ScoreLine): void {
    this.given[0] = line.surprise
    this.score = line.score
  }

  take(event: AccessEvent, line: Uint8Array): void {
    const call = this.calls.next(event)
    const place = (episode: string) => this.scores.placeOf(episode)
    for (const run of this.runs) {
      run.holds.before(call)
      run.engine.step(event, line)
      run.incidents.after(call, place)
    }
    const asked = { id: event.id, caller: call.caller, time: event.time, records: call.records }
    for (const [i, control] of this.controls.entries()) this.given[i + 1] = control.score(asked)
    this.scores.add(call, this.given)
    this.shares.add(call, this.score)
  }

  record(key: string): SeedRecord {
    const { truth, scores } = this
    return {
      key,
      header: truth.header,
      logEvents: this.calls.events,
      scorers: [ENGINE, ...this.controls.map((c) => c.name)],
      callers: truth.callers,
      days: this.calls.days,
      dayBits: this.calls.dayBits(),
      settled: scores.settled,
      warmUp: scores.warmUp,
      attacks: scores.attacks(),
      harmless: truth.episodes.filter((e) => e.kind === 'lookalike' || e.kind === 'pair'),
      pairScores: scores.pairs,
      budgets: this.runs.map((run) => run.record()),
      scoreShares: this.shares.shares(),
    }
  }
}

/**
 * Judges one log against its labels. Throws `USAGE`, naming the file, when the log does not hold what the
 * labels promise: figures over half a log would look like figures.
 */
export async function judgeLog(
  path: string,
  labels: Labels,
  key: string,
  progress: (events: number) => void,
) {
  const truth = new Truth(labels)
  const judgement = new LogJudgement(truth)
  const config = judgedConfig(truth.header, [], MAIN_BUDGET)
  const { rejected } = await readWhole(path, config, (event, line) => {
    judgement.take(event, line)
    if (judgement.calls.events % 100_000 === 0) progress(judgement.calls.events)
  })
  const { events, labelledSeen } = judgement.calls
  // Damaged lines belong to the faults; elsewhere they are a log that was cut off.
  const damaged = truth.header.faults ? 0 : rejected
  if (events < truth.events || labelledSeen < labels.episodeOf.size || damaged > 0) {
    const parts = [
      `${events} of ${truth.events} calls`,
      `${labelledSeen} of ${labels.episodeOf.size} labelled ones`,
    ]
    if (damaged > 0) parts.push(`${damaged} damaged line${damaged === 1 ? '' : 's'}`)
    throw new CurfewError('USAGE', `${path} is not whole: ${parts.join(', ')}`)
  }
  return judgement.record(key)
}

async function readWhole(...[path, config, onCall]: Parameters<typeof readCalls>) {
  try {
    return await readCalls(path, config, onCall)
  } catch (error) {
    if (!(error instanceof CurfewError) || error.code !== 'LOG_UNREACHABLE') throw error
    throw new CurfewError('USAGE', `${path} cannot be read to its end: ${error.message}`, { cause: error })
  }
}
