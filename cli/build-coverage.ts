import { setTimeout as pause } from 'node:timers/promises'
import type { EngineMetrics } from '../admin/metrics.ts'
import { createHeartbeat } from '../alerts/heartbeat.ts'
import type { StateStore } from '../baseline/store.ts'
import type { AlertRecord } from '../core/incident.ts'
import type { Clock } from '../core/time.ts'
import { haproxyCounter } from '../enforcement/gateways/haproxy-counter.ts'
import { nginxCounter } from '../enforcement/gateways/nginx-counter.ts'
import type { TrafficCounter } from '../enforcement/traffic-counter.ts'
import { MAX_GATEWAYS } from '../engine/coverage/coverage.ts'
import { MIN_BLIND_MS } from '../engine/coverage/own-work.ts'
import { slotOf } from '../engine/coverage/slots.ts'
import type { Logger } from '../engine/worker.ts'
import { CoverageCounter } from '../ingest/coverage-counter.ts'
import { COVERAGE_MAP } from './build-enforcement.ts'
import type { Config, SourceConfig } from './config/schema.ts'
import { CoverageMonitor, type CoverageReport } from './coverage-monitor.ts'
import { JudgingProgress } from './judging-progress.ts'
import { FIRST_SHARED_PARTITION, SharedMap } from './shared-map.ts'

const TICK_MS = 1_000
const REPORT_MS = 5_000
/** So many counts are reported at once. */
const MAX_UNREPORTED = 2_000
/** A reading belongs to the end of a slot when it was made no later than this part of one behind it. */
const MAX_READING_DELAY = 0.1
/** A heartbeat says that calls are judged now; with more lag than this it would be a lie. */
const MAX_HEARTBEAT_LAG_MS = 120_000

export interface CoverageParts {
  readonly config: Config
  readonly store: StateStore
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: EngineMetrics
  /** Name of this process. */
  readonly writer: string
}

function slotMsOf({ config }: CoverageParts): number {
  return config.coverage.slotSeconds * 1_000
}

/** What every process that takes in or judges calls counts, and how it tells. */
export class CoverageReporter {
  readonly counter: CoverageCounter
  readonly progress: JudgingProgress
  private readonly parts: CoverageParts
  private readonly judges: boolean
  private gap: CoverageReport['gap'] = null
  private sequence = 0

  /** `judges` is false where other processes judge: the lag is theirs to tell. */
  constructor(parts: CoverageParts, judges: boolean) {
    this.parts = parts
    this.judges = judges
    this.counter = new CoverageCounter({ slotMs: slotMsOf(parts), maxGateways: MAX_GATEWAYS })
    this.progress = new JudgingProgress(parts.clock)
  }

  /** Reports until `stop`: to the monitor of this process, or through the store to that of another. */
  async run(stop: AbortSignal, monitor: CoverageMonitor | null): Promise<void> {
    const { clock, logger } = this.parts
    let ticked = clock.now()
    let reported = ticked
    while (!stop.aborted) {
      await pause(TICK_MS, undefined, { signal: stop }).catch(() => undefined)
      const now = clock.now()
      if (now - ticked >= MIN_BLIND_MS) this.gap = { from: ticked, to: now }
      ticked = now
      const isDue = now - reported >= REPORT_MS || this.counter.size > MAX_UNREPORTED
      if (!isDue && this.gap === null) continue
      reported = now
      const report = this.report(now)
      try {
        if (monitor !== null) {
          monitor.take(report)
          await monitor.tick()
          this.measure(monitor, now)
        } else await this.send(report)
      } catch (error) {
        logger.warn({ error: String(error) }, 'coverage waits for the state store')
      }
    }
  }

  private report(now: number): CoverageReport {
    const { writer } = this.parts
    const { gap } = this
    this.gap = null
    const lagMs = this.judges ? this.progress.takeLag() : 0
    return {
      writer,
      time: now,
      gap,
      lagMs,
      frontiers: this.progress.frontiers(),
      slotMs: slotMsOf(this.parts),
      counts: this.counter.take(),
    }
  }

  private async send(report: CoverageReport): Promise<void> {
    const id = `coverage-${report.writer}-${++this.sequence}`
    const body = JSON.stringify(report)
    await this.parts.store.request(FIRST_SHARED_PARTITION + COVERAGE_MAP, { id, kind: 'coverage', body })
  }

  private measure(monitor: CoverageMonitor, now: number): void {
    const { metrics } = this.parts
    metrics.judged((now - monitor.lagMs) / 1_000, monitor.lagMs / 1_000)
    const view = monitor.view()
    for (const feed of view.feeds) {
      if (feed.gateway !== null) continue
      const open = view.incidents.filter(({ source, state }) => source === feed.source && state === 'open')
      metrics.coverage(
        feed.source,
        feed.lastLine === null ? null : Date.parse(feed.lastLine) / 1_000,
        open.length,
      )
    }
  }
}

/** Opens the monitor: in the one process that tells people. */
export async function openCoverage(
  parts: CoverageParts,
  tell: (alert: AlertRecord) => Promise<void>,
  stop: AbortSignal,
): Promise<CoverageMonitor> {
  const { config, store, clock } = parts
  const map = await SharedMap.open(store, COVERAGE_MAP, stop)
  const sources = config.sources
    .filter((source) => source.coverage.enabled)
    .map(({ name, tenant, coverage: { maxSilenceSeconds } }) => ({
      name,
      tenant: tenant ?? config.tenant,
      maxSilenceMs: maxSilenceSeconds === undefined ? null : maxSilenceSeconds * 1_000,
    }))
  return CoverageMonitor.open({ map, sources, tenant: config.tenant, slotMs: slotMsOf(parts), clock, tell })
}

/** Asks the gateways what they count and tells the monitor outside that calls are judged, until `stop`. */
export async function watchOutside(
  parts: CoverageParts,
  monitor: CoverageMonitor,
  stop: AbortSignal,
): Promise<void> {
  await Promise.all([pollCounters(parts, monitor, stop), beat(parts, monitor, stop)])
}

/** Asks every gateway counter at the end of each slot until `stop`. */
async function pollCounters(
  parts: CoverageParts,
  monitor: CoverageMonitor,
  stop: AbortSignal,
): Promise<void> {
  const { config, clock, logger } = parts
  const counters = config.sources.flatMap((source) =>
    source.coverage.enabled
      ? source.coverage.counters.map((c) => ({ source: source.name, counter: counterOf(c) }))
      : [],
  )
  if (counters.length === 0) return
  const slotMs = slotMsOf(parts)
  const failing = new Set<TrafficCounter>()
  while (!stop.aborted) {
    const end = (slotOf(clock.now(), slotMs) + 1) * slotMs
    await pause(Math.max(1, end - clock.now()), undefined, { signal: stop }).catch(() => undefined)
    if (stop.aborted) return
    const ask = async ({ source, counter }: (typeof counters)[number]): Promise<void> => {
      try {
        const { epoch, requests } = await counter.total(stop)
        failing.delete(counter)
        if (clock.now() - end <= MAX_READING_DELAY * slotMs)
          monitor.read(source, counter.gateway, end / slotMs - 1, epoch, requests)
      } catch (error) {
        if (!failing.has(counter) && !stop.aborted)
          logger.warn(
            { source, gateway: counter.gateway, error: String(error) },
            'gateway counter cannot be read',
          )
        failing.add(counter)
      }
    }
    await Promise.all(counters.map(ask))
  }
}

function counterOf(counter: SourceConfig['coverage']['counters'][number]): TrafficCounter {
  const { gateway } = counter
  return counter.kind === 'haproxy'
    ? haproxyCounter({ gateway, socketPath: counter.socket, frontends: counter.frontends })
    : nginxCounter(gateway, counter.url)
}

/** Sends heartbeats while calls are judged, until `stop`. */
async function beat(parts: CoverageParts, monitor: CoverageMonitor, stop: AbortSignal): Promise<void> {
  const { clock, logger } = parts
  const { heartbeat } = parts.config.alerts
  if (heartbeat === undefined) return
  const { url, intervalSeconds, secret } = heartbeat
  const send = createHeartbeat({ url, secrets: secret === undefined ? [] : [secret.reveal()], clock })
  while (!stop.aborted) {
    const { lagMs } = monitor
    try {
      if (lagMs <= MAX_HEARTBEAT_LAG_MS) await send(clock.now() - lagMs, lagMs, stop)
    } catch (error) {
      if (!stop.aborted) logger.warn({ error: String(error) }, 'heartbeat was not taken')
    }
    await pause(intervalSeconds * 1_000, undefined, { signal: stop }).catch(() => undefined)
  }
}
