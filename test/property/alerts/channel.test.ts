import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Job } from '../../../alerts/channel.ts'
import { Channel, MAX_QUEUED } from '../../../alerts/channel.ts'
import type { IncidentTransition } from '../../../core/incident.ts'
import { HOUR_MS, MINUTE_MS } from '../../../core/time.ts'
import { alertRecord } from '../../unit/alerts/samples.ts'

const TRANSITIONS: readonly IncidentTransition[] = ['opened', 'escalated', 'resolved']

interface Sent {
  readonly at: number
  readonly job: Job
}

const idsOf = (job: Job): readonly string[] =>
  job.kind === 'message'
    ? job.alertIds
    : job.kind === 'digest'
      ? job.digest.rows.map(({ alert }) => alert.id)
      : []

/** Drives a channel as the dispatcher does; `fails` says whether the next attempt fails. */
class Driver {
  readonly channel: Channel
  readonly sent: Sent[] = []
  readonly accepted: string[] = []
  now = 1_000_000_000
  readonly #fails: (job: Job) => boolean

  constructor(burst: number, budgetPerHour: number, fails: (job: Job) => boolean) {
    this.channel = new Channel('hook', { minSeverity: 'low', burst, budgetPerHour }, () => 0.5)
    this.#fails = fails
  }

  add(incident: number, step: number): void {
    const transition = TRANSITIONS[step] ?? 'resolved'
    const alert = alertRecord({ id: `${incident}-${step}`, incident: `inc_${incident}`, transition })
    this.accepted.push(alert.id)
    this.channel.add({ sink: 'hook', alert, acceptedAt: this.now, digest: null })
  }

  runUntil(end: number): void {
    while (this.now < end) {
      const step = this.channel.next(this.now, false)
      if (step.kind === 'wait') {
        this.now = Math.min(end, Math.max(this.now + 1, step.until ?? end))
        continue
      }
      if (step.job.kind === 'digest') this.channel.settled(step.job.digest.id)
      if (this.#fails(step.job)) this.channel.fail(step.job, this.now, undefined)
      else {
        this.sent.push({ at: this.now, job: step.job })
        this.channel.finish(step.job, this.now, true)
      }
      this.now += 50
    }
  }
}

const arrivals = fc.array(
  fc.record({
    incident: fc.nat({ max: 40 }),
    afterMs: fc.oneof(fc.constant(0), fc.nat({ max: 5000 }), fc.nat({ max: 300_000 })),
  }),
  { minLength: 1, maxLength: 150 },
)

describe('what waits for one sink', () => {
  it('leaves exactly once, in order per incident, within burst and budget, whatever fails', () => {
    const failures = fc.infiniteStream(fc.boolean())
    const burst = fc.integer({ min: 2, max: 8 })
    const budget = fc.integer({ min: 1, max: 40 })
    fc.assert(
      fc.property(arrivals, failures, burst, budget, (list, fails, burstSize, budgetPerHour) => {
        const driver = new Driver(burstSize, budgetPerHour, () => fails.next().value)
        const steps = new Map<number, number>()
        for (const { incident, afterMs } of list) {
          driver.runUntil(driver.now + afterMs)
          const step = steps.get(incident) ?? 0
          if (step > 2) continue
          steps.set(incident, step + 1)
          driver.add(incident, step)
        }
        driver.runUntil(driver.now + 6 * HOUR_MS)
        const delivered = driver.sent.flatMap(({ job }) => idsOf(job))
        expect([...delivered].sort()).toEqual([...driver.accepted].sort())
        for (const incident of steps.keys()) {
          const own = delivered.filter((id) => id.startsWith(`${incident}-`))
          expect(own).toEqual([...own].sort())
        }
        expect(driver.channel.idle).toBe(true)
        expectPaced(driver.sent, burstSize, budgetPerHour)
      }),
      { numRuns: 60 },
    )
  })

  it('never holds more than its bound and says in the digest how many were only counted', () => {
    const driver = new Driver(5, 60, () => false)
    for (let i = 0; i < MAX_QUEUED; i++) driver.add(i, 0)
    expect(driver.channel.full).toBe(true)
    driver.channel.addOmitted(42)
    driver.runUntil(driver.now + 10 * MINUTE_MS)
    const digest = driver.sent.at(-1)?.job
    expect(digest?.kind === 'digest' ? [digest.digest.rows.length, digest.digest.omitted] : null).toEqual([
      MAX_QUEUED - 4,
      42,
    ])
    expect([driver.channel.queued, driver.channel.omitted, driver.channel.idle]).toEqual([0, 0, true])
  })
})

function expectPaced(sent: readonly Sent[], burst: number, budgetPerHour: number): void {
  for (const [index, { at, job }] of sent.entries()) {
    const minute = sent.slice(0, index + 1).filter((other) => at - other.at < MINUTE_MS)
    expect(minute.length).toBeLessThanOrEqual(burst)
    const digests = minute.filter((other) => other.job.kind === 'digest')
    expect(digests.length).toBeLessThanOrEqual(1)
    const hour = sent.slice(0, index).filter((other) => at - other.at < HOUR_MS)
    if (job.kind === 'message') expect(hour.length).toBeLessThan(budgetPerHour)
  }
}
