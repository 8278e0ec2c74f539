import type { StateStore } from '../../baseline/store.ts'
import type { Decision } from '../../core/decision.ts'
import { type AccessEvent, profileKey } from '../../core/event.ts'
import { eventTime } from '../../core/time.ts'
import { DETECTORS } from '../../detectors/catalog.ts'
import { isHeld, openIncident } from '../../engine/incident.ts'
import { OwnedPartition } from '../../engine/owned-partition.ts'
import { Partition } from '../../engine/partition.ts'
import { PartitionState } from '../../engine/partition-state.ts'
import type { EngineSettings } from '../../engine/settings.ts'
import type { LogRecord } from '../../ingest/source.ts'

interface WorkerOptions {
  readonly store: StateStore
  readonly partition: number
  readonly identityKey: Uint8Array
  /** When the night happens, epoch ms. */
  readonly now: number
  readonly settings: EngineSettings
}

const HOUR = 3_600_000

/**
 * Owns one partition as the detecting worker does, without a log: takes requests and checkpoints all the
 * time. `night` lets five callers live for two days, then two of them go wild.
 */
export async function partitionWorker(options: WorkerOptions) {
  const engine = new Partition({
    detectors: DETECTORS,
    settings: options.settings,
    maxPrincipals: 1_000,
    seed: 1,
  })
  const state = new PartitionState(engine, options.identityKey)
  const events = new Map<number, AccessEvent>()
  const owned = new OwnedPartition({
    store: await options.store.open(options.partition),
    partition: engine,
    state,
    decode: (record, to) => {
      const event = events.get(record.offset)
      if (event !== undefined) to.event(event)
    },
    observer: { judged: () => undefined, redelivered: () => undefined },
    insist: (work) => work(),
    onOutbox: () => undefined,
  })
  await owned.load()
  let offset = owned.offset
  let running = true

  async function call(label: string, id: string, time: number): Promise<AccessEvent> {
    const event = sampleCall(label, id, time, ++offset)
    events.set(offset, event)
    const record: LogRecord = {
      offset,
      bytes: new TextEncoder().encode(event.id),
      receivedAt: time,
      source: 'test',
    }
    await owned.fold([record])
    return event
  }

  async function work(): Promise<void> {
    while (running) {
      await owned.takeRequests()
      await owned.checkpoint()?.commit()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await owned.store.close()
  }

  /** An incident of a caller with a decision in the given mode. */
  async function wild(
    label: string,
    id: string,
    mode: 'enforce' | 'approve',
  ): Promise<{ incident: string; decision: Decision }> {
    const event = await call(label, id, options.now - 60_000)
    const incident = openIncident(event, event.time)
    Object.assign(incident, {
      events: 8,
      requests: 8,
      records: 640,
      surprise: 9.4,
      score: 0.9999,
      evidenceAt: options.now,
    })
    incident.detectors = ['volume']
    incident.parts = [{ detector: 'volume', surprise: 9.4, weight: 1 }]
    engine.book.add(profileKey(event.tenant, event.principal), incident)
    engine.book.assess(incident, engine.settings)
    const scope = { kind: 'principal', principal: event.principal } as const
    const step = {
      rung: 1,
      action: 'throttle',
      scope,
      limit: { requests: 1, windowSeconds: 10 },
      tokenExp: null,
    } as const
    const settings: EngineSettings = { ...engine.settings, modes: [{ mode }] }
    engine.book.decide(incident, step, settings, event.time, () => false)
    engine.book.touch(incident, engine.settings)
    const output = engine.book.outputs.findLast((o) => o.kind === 'decision')
    if (output?.kind !== 'decision') throw new Error('no decision was made')
    engine.book.outputs.length = 0
    return { incident: incident.id, decision: output.decision }
  }

  async function night() {
    for (let hour = 48; hour > 0; hour--) {
      for (const [i, label] of ['orders-svc', 'billing', 'reports', 'search', 'backup'].entries()) {
        await call(label, i === 0 ? '6f1c' : label, options.now - hour * HOUR + i)
      }
    }
    const open = await wild('orders-svc', '6f1c', 'enforce')
    const waiting = await wild('reports', 'reports', 'approve')
    await call('billing', 'billing', options.now)
    await owned.checkpoint()?.commit()
    working = work()
    return {
      decisions: [open.decision, waiting.decision],
      openIncident: open.incident,
      inForce: open.decision,
      awaitingApproval: waiting.decision,
    }
  }

  let working: Promise<void> = Promise.resolve()
  return {
    night,
    settings: () => engine.settings,
    isHeld: (incident: string) => {
      const found = engine.book.ofId(incident)
      return found !== undefined && isHeld(found, Math.max(engine.now, found.lastDemandAt))
    },
    holdUntil: (incident: string, decision: string) =>
      engine.book.ofId(incident)?.issued.find(({ id }) => id === decision)?.holdUntil,
    close: async () => {
      running = false
      await working
    },
  }
}

function sampleCall(label: string, id: string, time: number, offset: number): AccessEvent {
  return {
    id: `req-${offset}`,
    time: eventTime(time),
    receivedAt: time,
    tenant: 'default',
    principal: { kind: 'consumer', id, label, verified: true },
    parents: [],
    token: null,
    credential: null,
    clientIp: '203.0.113.9',
    userAgent: null,
    method: 'GET',
    route: '/v1/orders',
    path: '/v1/orders',
    objectIds: [],
    status: 200,
    latencyMs: 12,
    requestBytes: 0,
    responseBytes: 900,
    records: 1,
    recordsFrom: 'header',
    refusedBy: null,
    gateway: { kind: 'test', id: 'edge' },
    source: { topic: 'test', partition: 0, offset, index: 0 },
  }
}
