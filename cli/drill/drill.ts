import { setTimeout as pause } from 'node:timers/promises'
import type { DecisionView, IncidentView } from '../../engine/control-plane.ts'
import { type CanaryAnswer, type CanaryCall, type DrillConfig, isRefused, isServed } from './canary-calls.ts'
import type { CurfewAnswers, CurfewStatus } from './curfew-answers.ts'
import { type BrokenLink, brokenLink, failingCheck } from './links.ts'

/** What a drill found; times in milliseconds since the first call, null for what did not happen. */
export interface DrillReport {
  readonly broken: readonly BrokenLink[]
  readonly calls: number
  readonly action: string | null
  readonly detectedMs: number | null
  readonly decidedMs: number | null
  readonly refusedMs: number | null
  /** From the wish to lift until a call was served again. */
  readonly releasedMs: number | null
  /** Channels that took a message. */
  readonly told: readonly string[]
  /** Channels that are not told about incidents as severe as the canary's, or keep the message back for their budget. */
  readonly untold: readonly string[]
  /** What could not be cleaned up, and what becomes of it. */
  readonly left: string | null
}

export interface DrillParts {
  readonly config: DrillConfig
  readonly call: CanaryCall
  readonly curfew: CurfewAnswers
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number
  /** Whether the configuration has channels told about incidents of a severity. */
  readonly tells: (severity: IncidentView['severity']) => boolean
}

/** The admin API answers 600 questions a minute. */
const POLL_MS = 300
const SLOW_CALL_MS = 500
const REASON = 'curfew drill'
const NOT_ENFORCED: ReadonlySet<string> = new Set(['observed', 'awaiting-approval', 'withheld'])

/** Ends a drill early. */
class Broken extends Error {
  readonly found: BrokenLink

  constructor(link: string, why: string) {
    super(`${link}: ${why}`)
    this.found = { link, why }
  }
}

/**
 * Plays the canary: calls through the gateway until Curfew has it refused, lifts that again, and says how long each
 * step took or which link is broken. Always cleans up, also what an interrupted drill left; `stop` ends it early.
 */
export class Drill {
  readonly #parts: DrillParts
  readonly #patienceMs: number
  /** Decisions of earlier drills. */
  readonly #known = new Set<string>()
  #calls = 0
  #served = 0
  #start = 0
  #incident: IncidentView | null = null
  #decision: DecisionView | null = null
  #detectedMs: number | null = null
  #decidedMs: number | null = null
  #refusedMs: number | null = null
  #releasedMs: number | null = null
  #told: string[] = []
  #untold: string[] = []

  constructor(parts: DrillParts) {
    this.#parts = parts
    this.#patienceMs = parts.config.patienceSeconds * 1_000
  }

  async run(stop: AbortSignal): Promise<DrillReport> {
    const broken: BrokenLink[] = []
    const stage = async (work: () => Promise<void>) => {
      try {
        await work()
        return true
      } catch (error) {
        if (!stop.aborted) broken.push(this.#foundBy(error))
        return false
      }
    }
    const before = await this.#parts.curfew.status()
    const ready = await stage(() => this.#prepare(before, stop))
    const held = ready && (await stage(() => this.#untilRefused(stop)))
    if (this.#incident !== null || this.#decision !== null)
      await stage(() => this.#untilTold(before?.channels ?? [], stop))
    if (held) await stage(() => this.#untilServedAgain(stop))
    const left = this.#calls > 0 ? await this.#cleanUp() : null
    if (stop.aborted) broken.push({ link: 'drill', why: 'was interrupted' })
    return this.#report(broken, left)
  }

  #foundBy(error: unknown): BrokenLink {
    if (error instanceof Broken) return error.found
    return { link: 'curfew', why: error instanceof Error ? error.message : String(error) }
  }

  #report(broken: readonly BrokenLink[], left: string | null): DrillReport {
    const decidedMs = earlier(this.#decidedMs, this.#decision === null ? null : this.#refusedMs)
    return {
      broken,
      calls: this.#calls,
      action: this.#decision?.decision.action ?? null,
      detectedMs: earlier(this.#detectedMs, decidedMs),
      decidedMs,
      refusedMs: this.#refusedMs,
      releasedMs: this.#releasedMs,
      told: this.#told,
      untold: this.#untold,
      left,
    }
  }

  /** Everything must be as it should before the first call, without remains of an earlier drill. */
  async #prepare(status: CurfewStatus | null, stop: AbortSignal): Promise<void> {
    const failing = failingCheck(status?.checks ?? null)
    if (failing !== null) throw new Broken(failing.link, failing.why)
    const { curfew } = this.#parts
    for (const { decision } of await curfew.decisions()) this.#known.add(decision.id)
    const lifted = await curfew.release(`${REASON}: left by an earlier one`)
    await this.#until(stop, POLL_MS, () => curfew.closed(`${REASON}: left by an earlier one`, lifted))
    this.#start = this.#parts.now()
    let answer = await this.#call()
    if (lifted.length > 0 && !isServed(answer)) {
      await this.#until(stop, SLOW_CALL_MS, async () => {
        this.#start = this.#parts.now()
        answer = await this.#call()
        return isServed(answer)
      })
    }
    if (answer.status === null) throw new Broken('gateway', `does not answer (${answer.trouble})`)
    if (!isServed(answer))
      throw new Broken(
        'gateway',
        `answers ${answer.status} to the first call of the canary: see \`drill.token\``,
      )
  }

  async #call(): Promise<CanaryAnswer> {
    this.#calls++
    const answer = await this.#parts.call()
    if (isServed(answer)) this.#served++
    return answer
  }

  async #untilRefused(stop: AbortSignal): Promise<void> {
    const { config, now } = this.#parts
    const over = new AbortController()
    const watching = this.#watch(AbortSignal.any([stop, over.signal]))
    const mostMs = this.#patienceMs + (config.maxCalls * 1_000) / config.callsPerSecond
    try {
      while (!stop.aborted && now() - this.#start < mostMs) {
        const wait = this.#calls < config.maxCalls ? 1_000 / config.callsPerSecond : SLOW_CALL_MS
        const answer = await this.#call()
        if (isRefused(answer)) {
          this.#refusedMs = now() - this.#start
          break
        }
        if (this.#calls >= config.maxCalls && this.#waitedLongEnough()) break
        await pause(wait, undefined, { signal: stop }).catch(() => undefined)
      }
      if (this.#refusedMs !== null) await this.#until(stop, POLL_MS, async () => this.#decision !== null)
    } finally {
      over.abort()
      await watching
    }
    if (stop.aborted) throw new Broken('drill', 'was interrupted')
    if (this.#refusedMs === null) throw await this.#servedStill()
    if (this.#decision === null)
      throw new Broken('gateway', 'refuses the canary by itself, before Curfew decided anything')
    // Then it was the gateway's own limit that refused.
    if (NOT_ENFORCED.has(this.#decision.status)) throw await this.#servedStill()
  }

  /** Whether the last thing that happened is as long ago as each link may take. */
  #waitedLongEnough(): boolean {
    const last =
      this.#decidedMs ??
      this.#detectedMs ??
      (this.#parts.config.maxCalls * 1_000) / this.#parts.config.callsPerSecond
    return this.#parts.now() - this.#start - last >= this.#patienceMs
  }

  async #servedStill(): Promise<Broken> {
    const { curfew } = this.#parts
    const status = await curfew.status()
    const decision = this.#decision
    const now =
      decision === null
        ? null
        : (await curfew.decisions().catch(() => [])).find(
            ({ decision: { id } }) => id === decision.decision.id,
          )
    const found = brokenLink({
      checks: status?.checks ?? null,
      served: this.#served,
      incident: this.#incident,
      decision: now ?? decision,
    })
    return new Broken(found.link, found.why)
  }

  /** Notes when the canary's incident and the decision on it show. */
  async #watch(stop: AbortSignal): Promise<void> {
    const { curfew, now } = this.#parts
    while (!stop.aborted) {
      try {
        this.#decision ??= (await curfew.decisions()).find(this.#isNew) ?? null
        if (this.#decision !== null) this.#decidedMs ??= now() - this.#start
        this.#incident ??= await curfew.incident()
        if (this.#incident !== null) this.#detectedMs ??= now() - this.#start
      } catch {
        // A Curfew that does not answer is found out when the time is over.
      }
      await pause(POLL_MS, undefined, { signal: stop }).catch(() => undefined)
    }
  }

  async #untilTold(before: CurfewStatus['channels'], stop: AbortSignal): Promise<void> {
    const { curfew, tells } = this.#parts
    const waiting = new Map(before.map(({ name, sent }) => [name, sent]))
    await this.#until(stop, POLL_MS, async () => {
      this.#incident ??= await curfew.incident()
      return this.#incident !== null
    })
    const severity = this.#incident?.severity ?? 'high'
    if (!tells(severity)) {
      this.#untold.push(...waiting.keys())
      return
    }
    let trouble: string | null = null
    const heldBack = new Set<string>()
    await this.#until(stop, POLL_MS, async () => {
      for (const { name, sent, waiting: queued, lastError } of (await curfew.status())?.channels ?? []) {
        const had = waiting.get(name)
        if (had === undefined) continue
        if (sent > had && waiting.delete(name)) this.#told.push(name)
        if (queued > 0 && lastError === null) heldBack.add(name)
        else heldBack.delete(name)
        trouble = lastError ?? trouble
      }
      return waiting.size === 0
    })
    this.#untold.push(...[...waiting.keys()].filter((name) => heldBack.has(name)))
    const silent = [...waiting.keys()].find((name) => !heldBack.has(name))
    if (silent !== undefined && !stop.aborted)
      throw new Broken(`alert channel ${silent}`, trouble ?? 'took no message about the canary')
  }

  async #untilServedAgain(stop: AbortSignal): Promise<void> {
    const { curfew, now } = this.#parts
    const asked = now()
    await curfew.release(`${REASON}: it holds`)
    let last: CanaryAnswer = { status: null, trouble: null }
    await this.#until(stop, SLOW_CALL_MS, async () => {
      last = await this.#call()
      return isServed(last)
    })
    if (!isServed(last))
      throw new Broken('release', `the gateway still answers ${last.status ?? 'nothing'} after it was lifted`)
    this.#releasedMs = now() - asked
  }

  #isNew = ({ decision }: DecisionView): boolean =>
    decision.action !== 'release' && !this.#known.has(decision.id)

  /** Lifts and closes whatever the drill caused; what remains, in words, or null. */
  async #cleanUp(): Promise<string | null> {
    const { curfew } = this.#parts
    try {
      const own = this.#decision === null ? [] : [this.#decision.decision.incident]
      const caused = [...own, ...(await curfew.release(`${REASON}: over`))]
      const patience = new AbortController().signal
      const closed = await this.#until(patience, POLL_MS, () => curfew.closed(`${REASON}: over`, caused))
      // A call that was still on its way may have led to a decision after the first look.
      await curfew.release(`${REASON}: over`)
      return closed ? null : 'its incident is still open; the next drill closes it'
    } catch (error) {
      const until = this.#decision?.until ?? null
      const why = error instanceof Error ? error.message : String(error)
      const end =
        until === null ? 'the next drill lifts what stands' : `what stands ends by itself at ${until}`
      return `${why}; ${end}`
    }
  }

  /** Asks until it holds or patience ends; failures to ask count as no. */
  async #until(stop: AbortSignal, everyMs: number, holds: () => Promise<boolean>): Promise<boolean> {
    const { now } = this.#parts
    const from = now()
    while (!stop.aborted && now() - from < this.#patienceMs) {
      if (await holds().catch(() => false)) return true
      await pause(everyMs, undefined, { signal: stop }).catch(() => undefined)
    }
    return false
  }
}

/** Steps show late, in any order: what a later one shows was true by then. */
function earlier(own: number | null, later: number | null): number | null {
  return own === null || later === null ? (own ?? later) : Math.min(own, later)
}
