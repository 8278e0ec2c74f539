import type { Learning } from '../baseline/windows.ts'
import { EventClock } from './event-clock.ts'
import { BOUNDARY_MS, type Knowledge, KnowledgeKeeper } from './knowledge.ts'
import type { EngineSettings } from './settings.ts'

/** Learnt principals below which a population is judged by what is known about the other one. */
const ENOUGH_PRINCIPALS = 8
/**
 * Days above its threshold that a population must be able to expect within its budget; until then the threshold is that of the
 * other one, where more days of it are known. From fewer days the tail is drawn by hand, and the odd days of a young population push the threshold out
 * of the reach of every attack.
 */
const LEAST_DAYS_ABOVE = 5
/** Versions of the knowledge about strangers begin here, so that no two priors share one. */
const STRANGERS_VERSION = 0x4000_0000

/**
 * Callers that are compared with one another, and what is known about all of them. Callers that a gateway
 * vouches for are one population, strangers another with a clock of its own: whoever needs no credential to
 * call can move neither what is normal for those who have one, nor when it changes. The other way round
 * strangers are judged by those until enough of them are known.
 */
export class Population {
  readonly knowledge: KnowledgeKeeper
  /** Follows this population's calls only. */
  readonly clock = new EventClock()
  /** Incident threshold in force, -log10 p. */
  threshold = 0
  /** The knowledge in force. */
  active: Knowledge
  learning: Learning
  private readonly others: Population | null
  private boundary = -1

  /** `others`: by whom this population is judged while too few of it are known; null for nobody. */
  constructor(others: Population | null) {
    this.others = others
    this.knowledge = new KnowledgeKeeper(others === null ? 0 : STRANGERS_VERSION)
    this.active = this.inForce()
    this.learning = this.lessons()
  }

  /** Crosses the knowledge boundaries that this population's time has reached; true when there was one. */
  passTime(settings: EngineSettings): boolean {
    const boundary = Math.floor(this.clock.now / BOUNDARY_MS)
    if (boundary === this.boundary) return false
    this.boundary = boundary
    this.knowledge.observe(this.clock.now)
    this.refresh(settings)
    return true
  }

  /** Takes the knowledge and settings in force into the hot path's fields. */
  refresh(settings: EngineSettings): void {
    this.active = this.inForce()
    this.learning = this.lessons()
    const { falseAlarmBudget, minIncidentSurprise } = settings.values
    const { calibration } = this.active
    this.threshold =
      this.others !== null && this.knowsFewerDaysThan(this.others, falseAlarmBudget)
        ? this.others.threshold
        : calibration.threshold(falseAlarmBudget, minIncidentSurprise)
  }

  private knowsFewerDaysThan(others: Population, budget: number): boolean {
    const { days } = this.active.calibration
    return (days * budget) / 1000 < LEAST_DAYS_ABOVE && days < others.active.calibration.days
  }

  private inForce(): Knowledge {
    const own = this.knowledge.active
    return this.others === null || own.principals >= ENOUGH_PRINCIPALS ? own : this.others.active
  }

  private lessons(): Learning {
    return { prior: this.active.prior, sums: this.knowledge.sums.prior }
  }
}
