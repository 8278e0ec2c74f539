import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Action, Mode } from '../core/decision.ts'
import type { IncidentTransition, Severity } from '../core/incident.ts'
import type { DecisionStatusName, PrincipalState, ReceiptView } from '../engine/control-plane.ts'
import type { KnowledgeReport } from '../engine/knowledge-merger.ts'
import type { PopulationName } from '../engine/merged-knowledge.ts'

/**
 * The names that may become label values: what the configuration names, never what a log line says.
 * Any other value is counted as `other`, so that the number of series is fixed at start.
 */
export interface MetricNames {
  readonly sources: readonly string[]
  readonly gateways: readonly string[]
  readonly sinks: readonly string[]
  /** Reasons for which a line can be rejected. */
  readonly rejectReasons: readonly string[]
  /** Partitions of the log, numbered from 0. */
  readonly partitions: number
}

export type DeliveryOutcome = 'delivered' | 'refused' | 'abandoned'

/** What the engine reports. Every call is cheap and never throws. */
export interface EngineMetrics {
  events(source: string, count?: number): void
  rejected(reason: string, count?: number): void
  duplicates(count?: number): void
  reusedIds(count?: number): void
  late(count?: number): void
  /** The combined surprise of one verdict, -log10 p; null when every detector abstained. */
  verdict(surprise: number | null): void
  incident(severity: Severity, transition: IncidentTransition): void
  incidentsOpen(count: number): void
  decision(action: Action, mode: Mode, status: DecisionStatusName): void
  gatewayOperation(
    gateway: string,
    operation: ReceiptView['operation'],
    outcome: ReceiptView['outcome'],
  ): void
  /** How long desired and actual state of a gateway have differed; 0 when they agree. */
  reconcileLag(gateway: string, seconds: number): void
  delivery(sink: string, outcome: DeliveryOutcome): void
  checkpoint(seconds: number, bytes: number): void
  /** How long the newest record of a partition that was judged had waited by then, seconds. */
  partitionLag(partition: number, seconds: number): void
  /** Event time that a partition has reached, epoch seconds. */
  partitionClock(partition: number, epochSeconds: number): void
  principalsResident(state: PrincipalState, count: number): void
  /** Up to when calls were judged (epoch seconds), and how far that is behind. */
  judged(lastEpochSeconds: number, lagSeconds: number): void
  /** The newest line of a source (epoch seconds; null before the first) and its open coverage incidents. */
  coverage(source: string, lastLineEpochSeconds: number | null, incidentsOpen: number): void
  /** How the newest knowledge of all partitions stands. */
  knowledge(population: PopulationName, report: KnowledgeReport): void
  storeReachable(yes: boolean): void
  logReachable(yes: boolean): void
  /** What Prometheus reads. */
  exposition(): Promise<{ readonly contentType: string; readonly body: string }>
}

export interface MetricsOptions {
  /** Also report the process and the JavaScript runtime under their customary names. Default true. */
  readonly processMetrics?: boolean
}

/** A tail probability can underflow to 0; one such verdict must not make the sum infinite. */
const MAX_SURPRISE = 1_000
const SURPRISE_BUCKETS = [0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 40]
const SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const BYTES_BUCKETS = [1_024, 16_384, 131_072, 1_048_576, 4_194_304, 8_388_608, 33_554_432]
const OTHER = 'other'

/** A fresh registry with every metric of the engine; nothing is shared between two of them. */
export function createMetrics(names: MetricNames, options: MetricsOptions = {}): EngineMetrics {
  const registry = new Registry()
  if (options.processMetrics ?? true) collectDefaultMetrics({ register: registry })
  return {
    ...streamMetrics(registry, names),
    ...judgementMetrics(registry),
    ...outwardMetrics(registry, names),
    ...stateMetrics(registry, names),
    ...coverageMetrics(registry, names),
    ...knowledgeMetrics(registry),
    exposition: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}

/** Maps a name to itself when it was declared, else to `other`. */
function closed(names: readonly string[]): (name: string) => string {
  const known = new Set(names)
  return (name) => (known.has(name) ? name : OTHER)
}

/** A count that cannot go backwards: anything but a positive finite number adds nothing. */
const amount = (count: number): number => (Number.isFinite(count) && count > 0 ? count : 0)
const measured = (value: number): number => (Number.isFinite(value) ? Math.max(0, value) : 0)

type Stream = Pick<EngineMetrics, 'events' | 'rejected' | 'duplicates' | 'reusedIds' | 'late'>

function streamMetrics(registry: Registry, names: MetricNames): Stream {
  const registers = [registry]
  const source = closed(names.sources)
  const reason = closed(names.rejectReasons)
  const events = new Counter({
    name: 'curfew_events_total',
    help: 'Access events accepted, by configured source',
    labelNames: ['source'],
    registers,
  })
  const rejected = new Counter({
    name: 'curfew_rejected_total',
    help: 'Lines or parts of lines that went to the dead letters, by reason',
    labelNames: ['reason'],
    registers,
  })
  const duplicates = new Counter({
    name: 'curfew_duplicates_total',
    help: 'Events recognised as already seen',
    registers,
  })
  const reusedIds = new Counter({
    name: 'curfew_reused_request_ids_total',
    help: 'Events whose request id an earlier event with other content had; judged like any other',
    registers,
  })
  const late = new Counter({
    name: 'curfew_late_events_total',
    help: 'Events older than the lateness of the short windows',
    registers,
  })
  for (const name of names.sources) events.inc({ source: name }, 0)
  return {
    events: (name, count = 1) => events.inc({ source: source(name) }, amount(count)),
    rejected: (name, count = 1) => rejected.inc({ reason: reason(name) }, amount(count)),
    duplicates: (count = 1) => duplicates.inc(amount(count)),
    reusedIds: (count = 1) => reusedIds.inc(amount(count)),
    late: (count = 1) => late.inc(amount(count)),
  }
}

type Judgement = Pick<EngineMetrics, 'verdict' | 'incident' | 'incidentsOpen' | 'decision'>

function judgementMetrics(registry: Registry): Judgement {
  const registers = [registry]
  const surprise = new Histogram({
    name: 'curfew_verdict_surprise',
    help: 'Combined surprise of a verdict, as -log10 of its tail probability',
    buckets: SURPRISE_BUCKETS,
    registers,
  })
  const abstained = new Counter({
    name: 'curfew_verdicts_abstained_total',
    help: 'Events on which every detector abstained',
    registers,
  })
  const open = new Gauge({ name: 'curfew_incidents_open', help: 'Incidents that are open now', registers })
  const incidents = new Counter({
    name: 'curfew_incidents_total',
    help: 'Transitions of incidents',
    labelNames: ['severity', 'transition'],
    registers,
  })
  const decisions = new Counter({
    name: 'curfew_decisions_total',
    help: 'Decisions that reached a status',
    labelNames: ['action', 'mode', 'status'],
    registers,
  })
  return {
    verdict: (value) => {
      if (value === null) abstained.inc()
      else if (!Number.isNaN(value)) surprise.observe(Math.min(MAX_SURPRISE, Math.max(0, value)))
    },
    incident: (severity, transition) => incidents.inc({ severity, transition }),
    incidentsOpen: (count) => open.set(measured(count)),
    decision: (action, mode, status) => decisions.inc({ action, mode, status }),
  }
}

type Outward = Pick<EngineMetrics, 'gatewayOperation' | 'reconcileLag' | 'delivery'>

function outwardMetrics(registry: Registry, names: MetricNames): Outward {
  const registers = [registry]
  const gateway = closed(names.gateways)
  const sink = closed(names.sinks)
  const operations = new Counter({
    name: 'curfew_gateway_operations_total',
    help: 'Calls to the control plane of a gateway',
    labelNames: ['gateway', 'operation', 'outcome'],
    registers,
  })
  const lag = new Gauge({
    name: 'curfew_gateway_reconcile_lag_seconds',
    help: 'How long a gateway has differed from what should hold there',
    labelNames: ['gateway'],
    registers,
  })
  const deliveries = new Counter({
    name: 'curfew_alert_deliveries_total',
    help: 'Alerts that a sink is done with: delivered, refused, or given up after a day of tries',
    labelNames: ['sink', 'outcome'],
    registers,
  })
  return {
    gatewayOperation: (name, operation, outcome) =>
      operations.inc({ gateway: gateway(name), operation, outcome }),
    reconcileLag: (name, seconds) => lag.set({ gateway: gateway(name) }, measured(seconds)),
    delivery: (name, outcome) => deliveries.inc({ sink: sink(name), outcome }),
  }
}

type CoverageMetrics = Pick<EngineMetrics, 'judged' | 'coverage'>

function coverageMetrics(registry: Registry, names: MetricNames): CoverageMetrics {
  const registers = [registry]
  const source = closed(names.sources)
  const judged = new Gauge({
    name: 'curfew_last_judged_timestamp_seconds',
    help: 'Up to when calls were judged, as epoch seconds; an old value says that nothing is judged',
    registers,
  })
  const lag = new Gauge({
    name: 'curfew_judging_lag_seconds',
    help: 'How far judging is behind the log',
    registers,
  })
  const last = new Gauge({
    name: 'curfew_source_last_line_timestamp_seconds',
    help: 'Newest line of a source, as epoch seconds',
    labelNames: ['source'],
    registers,
  })
  const open = new Gauge({
    name: 'curfew_coverage_incidents_open',
    help: 'Coverage incidents of a source that are open now',
    labelNames: ['source'],
    registers,
  })
  return {
    judged: (at, behind) => {
      judged.set(measured(at))
      lag.set(measured(behind))
    },
    coverage: (name, at, count) => {
      if (at !== null) last.set({ source: source(name) }, measured(at))
      open.set({ source: source(name) }, measured(count))
    },
  }
}

function knowledgeMetrics(registry: Registry): Pick<EngineMetrics, 'knowledge'> {
  const gauge = (name: string, help: string) =>
    new Gauge({ name, help, labelNames: ['population'], registers: [registry] })
  const made = gauge('curfew_knowledge_version', 'Newest version merged over all partitions')
  const inForce = gauge(
    'curfew_knowledge_version_in_force',
    'Lowest version in force in a partition; 0 while one goes by its own cuts',
  )
  const boundary = gauge(
    'curfew_knowledge_boundary_timestamp_seconds',
    'Event time up to which the newest version reaches, as epoch seconds',
  )
  const missing = gauge(
    'curfew_knowledge_partitions_missing',
    'Partitions whose sums did not reach that time when it was merged',
  )
  return {
    knowledge: (population, report) => {
      const labels = { population }
      made.set(labels, measured(report.version))
      inForce.set(labels, measured(report.inForce))
      boundary.set(labels, measured(report.cutAt / 1000))
      missing.set(labels, measured(report.missing))
    },
  }
}

type State = Pick<
  EngineMetrics,
  'checkpoint' | 'partitionLag' | 'partitionClock' | 'principalsResident' | 'storeReachable' | 'logReachable'
>

function stateMetrics(registry: Registry, names: MetricNames): State {
  const registers = [registry]
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers })
  const partition = (n: number) => (Number.isInteger(n) && n >= 0 && n < names.partitions ? String(n) : OTHER)
  const duration = new Histogram({
    name: 'curfew_checkpoint_duration_seconds',
    help: 'Time that one checkpoint took',
    buckets: SECONDS_BUCKETS,
    registers,
  })
  const size = new Histogram({
    name: 'curfew_checkpoint_size_bytes',
    help: 'Bytes that one checkpoint wrote',
    buckets: BYTES_BUCKETS,
    registers,
  })
  const lag = gauge(
    'curfew_partition_lag_seconds',
    'How long the newest judged record of a partition had waited; one that stays ahead of the others has a caller too busy for it',
    ['partition'],
  )
  const clock = gauge('curfew_partition_event_time_seconds', 'Event time reached, as epoch seconds', [
    'partition',
  ])
  const resident = gauge('curfew_principals_resident', 'Profiles in memory, by how much is known', ['state'])
  const store = gauge('curfew_store_reachable', '1 while the state store answers, else 0')
  const log = gauge('curfew_log_reachable', '1 while the event log answers, else 0')
  return {
    checkpoint: (seconds, bytes) => {
      duration.observe(measured(seconds))
      size.observe(measured(bytes))
    },
    partitionLag: (n, seconds) => lag.set({ partition: partition(n) }, measured(seconds)),
    partitionClock: (n, seconds) => clock.set({ partition: partition(n) }, measured(seconds)),
    principalsResident: (state, count) => resident.set({ state }, measured(count)),
    storeReachable: (yes) => store.set(yes ? 1 : 0),
    logReachable: (yes) => log.set(yes ? 1 : 0),
  }
}
