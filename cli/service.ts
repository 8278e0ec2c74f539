import type { Readable } from 'node:stream'
import { createMetrics, type EngineMetrics } from '../admin/metrics.ts'
import { type AdminAddress, type AdminServer, createAdminServer } from '../admin/server.ts'
import type { AlertSink } from '../alerts/sink.ts'
import type { StateStore } from '../baseline/store.ts'
import type { ApprovalTimeout, Decision, HoldProof } from '../core/decision.ts'
import type { AlertRecord } from '../core/incident.ts'
import type { Clock } from '../core/time.ts'
import { detectorsNamed } from '../detectors/catalog.ts'
import type { ControlPlane, ReadinessCheck } from '../engine/control-plane.ts'
import { KnowledgeMerger } from '../engine/knowledge-merger.ts'
import { allowedBy } from '../engine/modes.ts'
import { OutboxReader, type TakeEntry } from '../engine/outbox-reader.ts'
import { DetectWorker, type Logger } from '../engine/worker.ts'
import type { DeadLetters } from '../ingest/dead-letters.ts'
import type { HttpSource } from '../ingest/sources/http-source.ts'
import { type AuditLog, openAuditLog } from './audit-log.ts'
import { type Alerts, channelsOf, openAlerts } from './build-alerts.ts'
import { CoverageReporter, openCoverage, watchOutside } from './build-coverage.ts'
import { type Enforcement, openEnforcement } from './build-enforcement.ts'
import { openSubjects, type Subjects } from './build-forgetting.ts'
import {
  Ingest,
  openDeadLetters,
  type PulledSource,
  type PushServer,
  pulledSources,
  pushServers,
} from './build-ingest.ts'
import { type OpenedLog, openLog, openStore } from './build-storage.ts'
import { adminTokens, engineSettings } from './config/engine-input.ts'
import { listenAddress } from './config/listen-address.ts'
import type { Config } from './config/schema.ts'
import type { CoverageMonitor } from './coverage-monitor.ts'
import { EngineGauges } from './engine-gauges.ts'
import type { Forgetting } from './forgetting.ts'
import { adapterNames } from './gateways.ts'
import { identityKeyOf } from './identity-key.ts'
import { latchLost } from './latch.ts'
import { listening } from './listening.ts'
import { createLiveControlPlane } from './live-control-plane.ts'
import { leakNotice } from './notices.ts'
import { plannedWork } from './planned-work.ts'
import { type Pulling, pull } from './pulling.ts'
import { readinessOf } from './readiness.ts'
import { keepRetention } from './retention.ts'
import { Safety } from './safety.ts'
import { followSettings } from './settings-follower.ts'
import { openSettingsKeeper, type SettingsKeeper } from './settings-keeper.ts'
import { decisionCounter, gatewayObserver, REJECT_REASONS, workerObserver } from './worker-observer.ts'

/** Roles of a process: `all` for small installations; workers of a larger one only read and detect. */
export type Role = 'all' | 'detect' | 'control'

export interface ServiceParts {
  readonly config: Config
  readonly role: Role
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly stdin: Readable
  /** Channels besides those of the configuration. */
  readonly extraSinks?: readonly AlertSink[]
  /** Carried in the fragment of the dashboard address that is printed. */
  readonly dashboardToken?: string
  /** Off when a log is read whose present is long past. */
  readonly ticks?: boolean
}

/** Which sources a process reads by itself. */
const KINDS_OF_ROLE = { all: ['file', 'kafka'], control: ['file'], detect: ['kafka'] } as const
/** The one reader of the outboxes: alerts and enforcement of this installation. */
const OUTBOX_READER = 'control'
const HASH_SEED = 0x6375_7266

/** A running Curfew. `stop` ends it in order: sources, folding, checkpoint, deliveries. */
export class Service {
  readonly store: StateStore
  readonly opened: OpenedLog
  readonly metrics: EngineMetrics
  enforcement: Enforcement | null = null
  controlPlane: ControlPlane | null = null
  admin: AdminAddress | null = null
  /** Ports of the push servers, in the order of their addresses in the configuration. */
  pushPorts: readonly number[] = []
  /** Rejects when a part that must not end has ended. */
  readonly failed: Promise<never>
  private fail: (error: unknown) => void = () => undefined
  private readonly parts: ServiceParts
  private readonly sourcesStop = new AbortController()
  private readonly detectStop = new AbortController()
  private readonly controlStop = new AbortController()
  private readonly running: Promise<unknown>[] = []
  private readonly control: Promise<unknown>[] = []
  private settings: SettingsKeeper | null = null
  private safety: Safety | null = null
  private readonly reporter: CoverageReporter
  private readonly gauges: EngineGauges
  private readonly countDecision: ReturnType<typeof decisionCounter>
  private coverage: CoverageMonitor | null = null
  private subjects: Subjects | null = null
  private forgetting: Forgetting | null = null
  private worker: DetectWorker | null = null
  private outbox: OutboxReader | null = null
  private alerts: Alerts | null = null
  private adminServer: AdminServer | null = null
  private push: readonly HttpSource[] = []
  private deadLetters: DeadLetters | null = null
  private pulled: readonly PulledSource[] = []
  private sourcesReadable = true

  private constructor(parts: ServiceParts, store: StateStore, opened: OpenedLog) {
    this.parts = parts
    this.store = store
    this.opened = opened
    this.failed = new Promise((_, reject) => {
      this.fail = reject
    })
    this.failed.catch(() => undefined)
    const { config } = parts
    this.metrics = createMetrics({
      sources: config.sources.map((s) => s.name),
      gateways: config.enforcement.gateways.flatMap((g) => adapterNames(config, g)),
      sinks: config.alerts.channels.map((c) => c.name),
      rejectReasons: REJECT_REASONS,
      partitions: opened.log.partitions,
    })
    this.gauges = new EngineGauges(this.metrics)
    this.countDecision = decisionCounter(this.metrics)
    this.reporter = new CoverageReporter(this.coverageParts(), parts.role !== 'control')
  }

  /** Starts everything or nothing: a part that cannot start closes those that did, and the error says why. */
  static async start(parts: ServiceParts): Promise<Service> {
    const store = await openStore(parts.config, parts.logger)
    let service: Service | null = null
    try {
      service = new Service(parts, store, await openLog(parts.config, parts.logger))
      await service.startParts()
      return service
    } catch (error) {
      // What could not start is the news, not what could not be closed after it.
      if (service !== null) await service.stop().catch(() => undefined)
      else await store.close()
      throw error
    }
  }

  private async startParts(): Promise<void> {
    const { config, clock, role } = this.parts
    const { store } = this
    const initial = engineSettings(config)
    if (role === 'detect') {
      this.settings = await openSettingsKeeper({ store, initial, clock })
    } else {
      this.subjects = await openSubjects(config, store, this.controlStop.signal)
      const audit = await openAuditLog({ store, writer: 'admin', clock, subjects: this.subjects.keys })
      this.settings = await openSettingsKeeper({ store, initial, clock, audit })
      await this.startControl(audit)
    }
    // Workers follow; one process alone ends what was loosened for a time.
    const follow = { settings: this.settings, alone: role !== 'detect', clock, logger: this.parts.logger }
    this.control.push(followSettings(follow, this.controlStop.signal))
    this.mergeKnowledge()
    const deadLetters = openDeadLetters(config, this.opened, clock, this.parts.logger)
    this.deadLetters = deadLetters
    const ingest = new Ingest(config, deadLetters, this.metrics, clock, this.reporter)
    if (role !== 'control') this.startDetection(ingest)
    await this.startSources(ingest)
    if (this.parts.ticks ?? true) this.control.push(this.reporter.run(this.controlStop.signal, this.coverage))
  }

  /** In every process: whoever comes first merges. One partition knows by itself what there is to know. */
  private mergeKnowledge(): void {
    const { store, metrics: observer } = this
    const { partitions } = this.opened.log
    if (partitions === 1) return
    const { clock, logger } = this.parts
    const merger = new KnowledgeMerger({ store, partitions, clock, logger, observer })
    this.control.push(merger.run(this.controlStop.signal))
  }

  private coverageParts() {
    const { store, metrics } = this
    const { config, clock, logger, role } = this.parts
    return { config, store, clock, logger, metrics, writer: `${role}-${process.pid}` }
  }

  private async startControl(audit: AuditLog): Promise<void> {
    const { config, clock, random, logger } = this.parts
    const settings = this.settings!
    const stop = this.controlStop.signal
    const { store, opened } = this
    const safety = await Safety.open({ config, store, opened, clock, logger, audit })
    this.safety = safety
    this.enforcement = await openEnforcement(
      {
        ...{ config, store, clock, random, logger, partitions: opened.log.partitions },
        maxTrafficShare: () => settings.current().values.maxTrafficShare,
        isAllowed: (tenant, entity) =>
          allowedBy(settings.current(), tenant, entity, clock.now())?.reason ?? null,
        planned: plannedWork(settings, clock),
        knownPrincipals: () => this.principals(),
        onChange: (id) => this.decisionChanged(id),
        onLeak: (view) => this.alert(leakNotice(view, clock.now())),
        observer: gatewayObserver(this.metrics),
        safety,
        answered: () => undefined,
      },
      stop,
    )
    const extraSinks = this.parts.extraSinks ?? []
    const enforcer = () => this.enforcement!.enforcer
    const onDone = this.metrics.delivery
    this.alerts = await openAlerts(
      { config, store: this.store, enforcer, clock, random, logger, extraSinks, onDone },
      stop,
    )
    const { dispatcher } = this.alerts
    this.coverage = await openCoverage(this.coverageParts(), (alert) => dispatcher.accept(alert), stop)
    this.control.push(watchOutside(this.coverageParts(), this.coverage, stop))
    const [renew, deadLetters] = [() => opened.renew(), () => this.deadLetters]
    this.forgetting = this.subjects!.forgetting({
      ...{ audit, settings, renew, deadLetters, clock, logger, dispatcher, enforcer: enforcer() },
      partitions: opened.log.partitions,
    })
    this.control.push(this.forgetting.run(stop))
    const take: TakeEntry = (entry) => this.take(entry.kind, entry.body)
    this.outbox = new OutboxReader(OUTBOX_READER, this.store, take, logger)
    this.control.push(this.outbox.run(stop).catch((error: unknown) => this.fail(error)))
    const alert = (record: AlertRecord) => this.alerts!.dispatcher.accept(record)
    this.control.push(safety.watch({ enforcer: enforcer(), alert, fail: this.fail }, stop))
    this.control.push(keepRetention({ config, store, audit, enforcer: enforcer(), clock, logger }, stop))
    await this.startAdmin(audit)
  }

  private async startAdmin(audit: AuditLog): Promise<void> {
    const { config, clock, logger, dashboardToken } = this.parts
    const controlPlane = createLiveControlPlane({
      store: this.store,
      partitions: () => this.store.partitions(),
      enforcer: this.enforcement!.enforcer,
      settings: this.settings!,
      audit,
      clock,
      readiness: () => this.readiness(),
      channels: () => channelsOf(this.alerts!.dispatcher),
      coverage: () => this.coverage!.view(),
      envelopes: () => this.enforcement!.envelopes,
      forgetting: this.forgetting!,
      identityKey: identityKeyOf(config),
    })
    this.controlPlane = controlPlane
    const { host, port } = listenAddress(config.admin.listen)!
    this.adminServer = await createAdminServer({
      controlPlane,
      metrics: () => this.exposition(),
      clock,
      tokens: adminTokens(config),
      listen: { host, port },
      allowedHosts: config.admin.allowedHosts,
      logger,
      ...(dashboardToken === undefined ? {} : { dashboardToken }),
    })
    this.admin = await listening('admin.listen', config.admin.listen, this.adminServer.start)
  }

  private exposition() {
    if (this.worker !== null) this.gauges.update(this.worker.numbered(), this.reporter.progress)
    return this.metrics.exposition()
  }

  private startDetection(ingest: Ingest): void {
    const { config, clock, logger } = this.parts
    const { metrics } = this
    this.worker = new DetectWorker(
      {
        store: this.store,
        log: this.opened.log,
        detectors: detectorsNamed(config.detectors),
        settings: () => this.settings!.current(),
        maxPrincipals: config.memory.maxPrincipals,
        identityKey: identityKeyOf(config),
        seed: HASH_SEED,
        decode: this.opened.kafka === null ? ingest.decodeJournal : ingest.decodeEvent,
        observer: workerObserver(metrics),
        // At once when enforcement lives in this process.
        onOutbox: (_, entries) => this.outbox?.handOn(entries),
        onLost: (detail) => this.safety?.lost(detail) ?? latchLost(config, this.store, detail, clock),
        outboxReaders: [OUTBOX_READER],
        clock,
        logger,
        ticks: this.parts.ticks ?? true,
      },
      this.detectStop.signal,
    )
    const reading = this.opened.log.read(this.reporter.progress.watch(this.worker), this.detectStop.signal)
    this.running.push(reading.catch((error: unknown) => this.fail(error)))
  }

  /** What arrives at one address or lies in one file is taken in by one process; topics are shared out. */
  private async startSources(ingest: Ingest): Promise<void> {
    const { config, clock, logger, stdin, role } = this.parts
    if (role !== 'detect') {
      const servers = pushServers(config, ingest, this.opened, clock, logger)
      this.push = servers.map(({ server }) => server)
      const start = ({ listen, server }: PushServer) =>
        listening('listen of a source', listen, () => server.start())
      this.pushPorts = await Promise.all(servers.map(start))
    }
    const kinds = KINDS_OF_ROLE[role]
    this.pulled = pulledSources(config, kinds, this.opened, clock, stdin, logger)
    const pulling: Pulling = {
      opened: this.opened,
      ingest,
      logger,
      stop: this.sourcesStop.signal,
      readable: (is) => {
        this.sourcesReadable = is
      },
      fail: (error) => this.fail(error),
    }
    for (const pulled of this.pulled) this.running.push(pull(pulled, pulling))
  }

  private async take(kind: string, body: string): Promise<void> {
    if (kind === 'decision') {
      await this.enforcement!.enforcer.accept(JSON.parse(body) as Decision)
      return
    }
    if (kind === 'proof') return this.enforcement!.enforcer.noteProof(JSON.parse(body) as HoldProof)
    if (kind === 'approval')
      return this.enforcement!.enforcer.noteTimeout(JSON.parse(body) as ApprovalTimeout)
    if (kind === 'forgotten') return this.forgetting!.take(body)
    const alert = JSON.parse(body) as AlertRecord
    this.metrics.incident(alert.severity, alert.transition)
    await this.alerts!.dispatcher.accept(alert)
  }

  private decisionChanged(id: string): void {
    const view = this.enforcement?.enforcer.view(id)
    if (view == null) return
    this.countDecision(view)
    this.safety?.noteChange(view)
    this.alerts?.dispatcher.refresh(view.decision.incident)
  }

  private alert(record: AlertRecord): void {
    this.alerts?.dispatcher
      .accept(record)
      .catch((error: unknown) => this.parts.logger.error({ error: String(error) }, 'an alert is lost'))
  }

  private principals(): number {
    return this.worker?.partitions().reduce((sum, p) => sum + p.residents.size, 0) ?? 0
  }

  private readiness(): Promise<readonly ReadinessCheck[]> {
    const { store, opened, worker, metrics, sourcesReadable } = this
    return readinessOf({
      store,
      opened,
      metrics,
      sourcesReadable,
      detecting: worker === null || worker.healthy,
      latched: this.safety?.latched() ?? null,
    })
  }

  /**
   * Ends in order; what was taken in is judged, committed and delivered as far as possible. Whatever fails on
   * the way, the rest is closed too; the first failure is thrown.
   */
  async stop(): Promise<void> {
    const failures: unknown[] = []
    const step = (work: () => Promise<unknown> | undefined) =>
      Promise.resolve(work()).catch((error: unknown) => void failures.push(error))
    this.sourcesStop.abort()
    await step(() => Promise.all(this.push.map((server) => server.stop())))
    this.detectStop.abort()
    await step(() => Promise.all(this.running))
    await step(() => this.worker?.close())
    for (const pulled of this.pulled) await step(() => pulled.close())
    this.controlStop.abort()
    await step(() => this.adminServer?.close())
    await step(() => Promise.all(this.control))
    await step(() => this.coverage?.close())
    await step(() => this.subjects?.close())
    await step(() => this.enforcement?.close())
    await step(() => this.alerts?.close())
    await step(() => this.deadLetters?.close())
    await step(() => this.opened.close())
    await step(() => this.store.close())
    if (failures.length > 0) throw failures[0]
  }
}
