import { setTimeout as sleep } from 'node:timers/promises'
import { createDispatcher } from '../alerts/dispatcher.ts'
import type { Dispatcher } from '../alerts/dispatcher-options.ts'
import type { StateStore } from '../baseline/store.ts'
import { DECISIONS_MAP, DELIVERIES_MAP } from '../cli/build-enforcement.ts'
import { decisionLedger, deliveryLedger } from '../cli/ledgers.ts'
import { SharedMap } from '../cli/shared-map.ts'
import type { Decision } from '../core/decision.ts'
import type { AlertRecord } from '../core/incident.ts'
import { wallTime } from '../core/time.ts'
import { createEnforcer, type Enforcer } from '../enforcement/enforcer.ts'
import { isLive } from '../enforcement/ledger.ts'
import { OutboxReader, type TakeEntry } from '../engine/outbox-reader.ts'
import { fileSink, folderGateway, rulesIn } from './crash-edges.ts'
import { type Broken, seamDecisions, seamDeliveries, seamGateway, seamSink } from './crash-seams.ts'
import type { Place } from './crash-task.ts'
import type { KillSwitch } from './kill-points.ts'

/** Decisions are taken at one instant, so that what holds until when does not depend on the run. */
const ISSUED_AT = wallTime(Date.UTC(2026, 8, 1))
/** People are told so much faster than in service. */
const DELIVERY_RATE = 500
const LATE_MS = 150
const POLL_MS = 10
const MANY = 1e9

const nothing = () => undefined
const said = (fields: object, message: string) =>
  void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`)
const logger = { info: nothing, warn: nothing, error: said }

export interface Effects {
  readonly reader: OutboxReader
  /** Everything in the outboxes has come to its end: at the gateway, with people, on record. */
  finish(partitions: number): Promise<void>
}

/** The enforcing and the telling half of a small installation, with kill points in between. */
export async function openEffects(
  store: StateStore,
  where: Place,
  kill: KillSwitch,
  broken: Broken | null,
): Promise<Effects> {
  const stop = new AbortController()
  const enforcer = createEnforcer({
    gateways: [seamGateway(await folderGateway(where.gateway), kill)],
    ledger: seamDecisions(decisionLedger(await SharedMap.open(store, DECISIONS_MAP, stop.signal)), kill),
    clock: { now: () => ISSUED_AT },
    random: () => 0.5,
    logger,
    isAllowed: () => null,
    guard: { windowMs: 1, newPrincipals: MANY, shareOfPrincipals: 1, maxLiveRules: MANY },
    intervalMs: 50,
  })
  await enforcer.load()
  const dispatcher = await openDispatcher(store, where, kill, broken, stop.signal)
  enforcer.start(stop.signal)
  const running = dispatcher.start(stop.signal)
  const take = takeInto(enforcer, dispatcher, broken)
  const reader = new OutboxReader('control', store, take, logger)
  const reading = reader.run(stop.signal)
  return {
    reader,
    finish: async (partitions) => {
      while (!(await isTaken(store, partitions))) await sleep(POLL_MS)
      if (broken === 'taken-late') await sleep(2 * LATE_MS)
      while (waits(enforcer) || (await isLeftOver(where, enforcer))) await sleep(POLL_MS)
      await dispatcher.drain()
      stop.abort()
      await reading
      await enforcer.drain()
      await running
    },
  }
}

function takeInto(enforcer: Enforcer, dispatcher: Dispatcher, broken: Broken | null): TakeEntry {
  const take: TakeEntry = async ({ kind, body }) => {
    if (kind === 'decision') await enforcer.accept(JSON.parse(body) as Decision)
    // Nobody here takes back what was told: it is compared.
    else if (kind !== 'forgotten') await dispatcher.accept(JSON.parse(body) as AlertRecord)
  }
  if (broken !== 'taken-late') return take
  return async (entry) => void sleep(LATE_MS).then(() => take(entry))
}

async function openDispatcher(
  store: StateStore,
  where: Place,
  kill: KillSwitch,
  broken: Broken | null,
  stop: AbortSignal,
): Promise<Dispatcher> {
  const ledger = deliveryLedger(await SharedMap.open(store, DELIVERIES_MAP, stop))
  const file = fileSink(where.messages)
  const noteFirst = (id: string) =>
    ledger.save({ done: { sink: file.name, alertIds: [id], outcome: 'delivered' } })
  const sink = seamSink(file, kill, broken === 'note-first' ? noteFirst : null)
  const dispatcher = createDispatcher({
    sinks: [{ sink, minSeverity: 'low', budgetPerHour: MANY, burst: MANY }],
    ledger: seamDeliveries(ledger, kill),
    clock: { now: () => wallTime(Date.now() * DELIVERY_RATE) },
    random: () => 0.5,
    logger,
    incidentUrl: () => null,
    undo: () => '',
    statusOf: () => [],
    wait: (ms, signal) => sleep(ms / DELIVERY_RATE, undefined, { signal }),
  })
  await dispatcher.load()
  return dispatcher
}

/** Whether the reader took everything that stands in the outboxes. */
async function isTaken(store: StateStore, partitions: number): Promise<boolean> {
  const { version, body } = await store.getDocument('outbox-cursor:control')
  const cursor = version === 0 ? {} : (JSON.parse(body) as Record<string, number>)
  for (let partition = 0; partition < partitions; partition++) {
    if ((await store.readOutbox(partition, cursor[partition] ?? 0, 1)).length > 0) return false
  }
  return true
}

/** Whether the gateway holds what is not wanted any more. */
async function isLeftOver(where: Place, enforcer: Enforcer): Promise<boolean> {
  const wanted = new Set(enforcer.views().flatMap((v) => (isLive(v.status) ? [v.decision.id] : [])))
  return [...(await rulesIn(where.gateway)).keys()].some((id) => !wanted.has(id))
}

function waits(enforcer: Enforcer): boolean {
  return enforcer.views().some(({ status }) => isLive(status) && status !== 'in-force')
}
