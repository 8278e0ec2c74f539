import type { EpisodeLabel } from '../traffic/labels.ts'
import type { Call } from './call-book.ts'
import { HOUR_MS } from './rules.ts'
import type { AttackCalls, AttackRecord, HourScores } from './seed-record.ts'
import type { Truth } from './truth.ts'

interface AttackDraft {
  readonly episode: EpisodeLabel
  coldStart: boolean
  begun: boolean
  archetype: string
  readonly callers: number[]
  readonly times: number[]
  readonly records: number[]
  readonly scores: number[][]
}

const NONE = Number.NEGATIVE_INFINITY

/** Keeps of every scorer's scores what a curve over thresholds needs: hourly maxima, and every attack call. */
export class ScoreBook {
  readonly settled: readonly HourScores[]
  readonly warmUp: readonly HourScores[]
  readonly pairs = new Map<string, number[]>()
  private readonly drafts = new Map<string, AttackDraft>()
  private readonly truth: Truth
  private readonly scorers: number
  private readonly hours: number

  constructor(truth: Truth, scorers: number) {
    this.truth = truth
    this.scorers = scorers
    this.settled = Array.from({ length: scorers }, () => new Map())
    this.warmUp = Array.from({ length: scorers }, () => new Map())
    const { judgeFrom, judgeTo } = truth.header
    this.hours = Math.ceil((judgeTo - judgeFrom) / HOUR_MS)
    for (const episode of truth.episodes) {
      if (episode.kind === 'pair') this.pairs.set(episode.id, new Array(scorers).fill(NONE))
      if (episode.kind !== 'attack') continue
      const scores = Array.from({ length: scorers }, () => [])
      const columns = { callers: [], times: [], records: [], scores }
      this.drafts.set(episode.id, { episode, coldStart: false, begun: false, archetype: '', ...columns })
    }
  }

  /** Takes a call with the score that each scorer gave it, null for none. */
  add(call: Call, scores: readonly (number | null)[]): void {
    if (call.kind === 'attack') this.addAttack(call, scores)
    else if (call.judged && (call.kind === 'ordinary' || call.kind === 'warm-up'))
      this.addHarmless(call, scores)
  }

  private addAttack(call: Call, scores: readonly (number | null)[]): void {
    const draft = this.drafts.get(call.episode!.id)!
    if (call.repeated) return
    const time: number = call.event.time
    if (draft.times.length === 0 || (!draft.begun && time >= draft.episode.harmFrom)) {
      draft.coldStart = call.warmUp
      draft.archetype = this.truth.callers[call.caller]!.archetype
      draft.begun = time >= draft.episode.harmFrom
    }
    draft.callers.push(call.caller)
    draft.times.push(time)
    draft.records.push(call.records)
    for (let s = 0; s < this.scorers; s++) {
      // Before the judged period nothing is credited.
      draft.scores[s]!.push(call.judged ? (scores[s] ?? NONE) : NONE)
    }
  }

  private addHarmless(call: Call, scores: readonly (number | null)[]): void {
    const hour = Math.floor((call.event.time - this.truth.header.judgeFrom) / HOUR_MS)
    const books = call.kind === 'warm-up' ? this.warmUp : this.settled
    const pair = call.episode === null ? undefined : this.pairs.get(call.episode.id)
    for (let s = 0; s < this.scorers; s++) {
      const score = scores[s] ?? null
      if (score === null) continue
      const row = books[s]!.get(call.caller) ?? this.newRow(books[s]!, call.caller)
      if (score > row[hour]!) row[hour] = score
      if (pair !== undefined && score > pair[s]!) pair[s] = score
    }
  }

  private newRow(scores: HourScores, caller: number): Float32Array {
    const row = new Float32Array(this.hours).fill(NONE)
    scores.set(caller, row)
    return row
  }

  /** Number of attack calls so far: the place of the next one. */
  placeOf(episode: string): number {
    return this.drafts.get(episode)!.times.length
  }

  attacks(): readonly AttackRecord[] {
    return [...this.drafts.values()].map(({ episode, coldStart, archetype, ...columns }) => ({
      episode,
      coldStart,
      archetype,
      calls: callsOf(columns),
    }))
  }
}

function callsOf(columns: Pick<AttackDraft, 'callers' | 'times' | 'records' | 'scores'>): AttackCalls {
  return {
    callers: Uint32Array.from(columns.callers),
    times: Float64Array.from(columns.times),
    records: Float64Array.from(columns.records),
    scores: columns.scores.map((scores) => Float32Array.from(scores)),
  }
}
