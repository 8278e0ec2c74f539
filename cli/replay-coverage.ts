import type { AccessEvent } from '../core/event.ts'
import { Coverage, MAX_GATEWAYS } from '../engine/coverage/coverage.ts'
import { slotOf } from '../engine/coverage/slots.ts'
import { EventClock } from '../engine/event-clock.ts'
import { CoverageCounter } from '../ingest/coverage-counter.ts'
import type { LineOutput } from './output-file.ts'

/** What is missing inside a recorded log: the same counting and judging as live, moved by event time alone. */
export class ReplayCoverage {
  private readonly output: LineOutput
  private readonly source: string
  private readonly coverage: Coverage
  private readonly counter: CoverageCounter
  private readonly slotMs: number
  private readonly clock = new EventClock()
  private slot = Number.NEGATIVE_INFINITY

  constructor(output: LineOutput, source: string, tenant: string, slotMs: number) {
    this.output = output
    this.source = source
    this.slotMs = slotMs
    this.counter = new CoverageCounter({ slotMs, maxGateways: MAX_GATEWAYS })
    this.coverage = new Coverage([{ name: source, tenant, maxSilenceMs: null }], slotMs)
  }

  take(event: AccessEvent): void {
    this.clock.observe(event.time, event.source.topic)
    const slot = slotOf(this.clock.now, this.slotMs)
    // The first call of a log moves no clock: there is no present to judge by yet.
    if (slot > this.slot && this.clock.now > 0) {
      this.slot = slot
      this.judge()
    }
    this.counter.count(this.source, event)
  }

  private judge(): void {
    for (const { source, gateway, slot, counts } of this.counter.take()) {
      this.coverage.observe(source, gateway, slot, counts)
    }
    this.coverage.advance(this.clock.now)
    for (const alert of this.coverage.outputs.splice(0)) this.output.line(JSON.stringify(alert))
  }
}
