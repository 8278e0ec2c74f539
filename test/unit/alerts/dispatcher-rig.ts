import { afterEach } from 'vitest'
import { createDispatcher } from '../../../alerts/dispatcher.ts'
import type { DispatchedSink, Dispatcher } from '../../../alerts/dispatcher-options.ts'
import type { DecisionStatus } from '../../../alerts/sink.ts'
import type { AlertRecord, IncidentTransition } from '../../../core/incident.ts'
import { ManualClock } from './manual-clock.ts'
import { MemoryLedger } from './memory-ledger.ts'
import { RecordingSink } from './recording-sink.ts'
import { alertRecord } from './samples.ts'

const stops: AbortController[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort()
})

export interface Rig {
  readonly dispatcher: Dispatcher
  readonly clock: ManualClock
  readonly ledger: MemoryLedger
  readonly log: string[]
  readonly stop: AbortController
  statuses: readonly DecisionStatus[]
}

/** A dispatcher with time, ledger and log in the hands of the test; it stops when the test ends. */
export async function rig(
  sinks: (clock: ManualClock) => readonly DispatchedSink[],
  ledger = new MemoryLedger(),
): Promise<Rig> {
  const clock = new ManualClock()
  const log: string[] = []
  const stop = new AbortController()
  stops.push(stop)
  const write = (fields: object, message: string): void =>
    void log.push(`${message} ${JSON.stringify(fields)}`)
  const result = { clock, ledger, log, stop, statuses: [] as readonly DecisionStatus[] }
  const dispatcher = createDispatcher({
    sinks: sinks(clock),
    ledger,
    clock,
    random: () => 0.5,
    logger: { info: write, warn: write, error: write },
    incidentUrl: (incident) => `https://admin.example/${incident}`,
    undo: () => 'curfew release',
    statusOf: () => result.statuses,
    wait: clock.wait,
  })
  await dispatcher.load()
  return Object.assign(result, { dispatcher })
}

/** A transition of the incident with this number. */
export function of(
  incident: number,
  transition: IncidentTransition = 'opened',
  changes: Partial<AlertRecord> = {},
): AlertRecord {
  return alertRecord({
    id: `al_${incident}_${transition}`,
    incident: `inc_${incident}`,
    transition,
    ...changes,
  })
}

function one(sink: (clock: ManualClock) => RecordingSink): {
  make: (c: ManualClock) => DispatchedSink[]
  get: () => RecordingSink
} {
  let made: RecordingSink | undefined
  return {
    make: (clock) => {
      made = sink(clock)
      return [{ sink: made, minSeverity: 'low' }]
    },
    get: () => made as RecordingSink,
  }
}

/** One sink that cannot edit. */
export const plain = () => one((clock) => new RecordingSink('hook', () => clock.now()))
/** One sink that can edit. */
export const editing = () => one((clock) => new RecordingSink('slack', () => clock.now(), true))
