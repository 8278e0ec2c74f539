import { createDispatcher } from '../alerts/dispatcher.ts'
import type { Dispatcher, Logger } from '../alerts/dispatcher-options.ts'
import type { DeliveryLedger, DeliveryOutcome } from '../alerts/ledger.ts'
import type { AlertSink, DecisionStatus } from '../alerts/sink.ts'
import { createSlackBot } from '../alerts/slack-bot.ts'
import { createSlackWebhook } from '../alerts/slack-webhook.ts'
import { createWebhook } from '../alerts/webhook.ts'
import type { StateStore } from '../baseline/store.ts'
import type { Clock } from '../core/time.ts'
import type { Enforcer } from '../enforcement/enforcer.ts'
import { isLive } from '../enforcement/ledger.ts'
import type { ChannelView } from '../engine/control-plane.ts'
import { scrubText } from '../ingest/scrub.ts'
import { DELIVERIES_MAP } from './build-enforcement.ts'
import type { ChannelConfig, Config } from './config/schema.ts'
import { deliveryLedger } from './ledgers.ts'
import { SharedMap } from './shared-map.ts'

export interface AlertsOptions {
  readonly config: Config
  readonly store: StateStore
  readonly enforcer: () => Enforcer
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** Channels besides those of the configuration, such as the demo's terminal. */
  readonly extraSinks: readonly AlertSink[]
  /** Told of each alert that a sink is done with, for metrics. */
  readonly onDone: (sink: string, outcome: DeliveryOutcome) => void
}

export interface Alerts {
  readonly dispatcher: Dispatcher
  close(): Promise<void>
}

/** Opens the channels and starts to deliver until `stop`. */
export async function openAlerts(options: AlertsOptions, stop: AbortSignal): Promise<Alerts> {
  const { config, clock, random, logger } = options
  const map = await SharedMap.open(options.store, DELIVERIES_MAP, stop)
  const { minSeverity, budgetPerHour, adminUrl } = config.alerts
  const sinks = [...config.alerts.channels.map((channel) => sinkOf(channel, clock)), ...options.extraSinks]
  const dispatcher = createDispatcher({
    sinks: sinks.map((sink) => ({ sink, minSeverity, budgetPerHour })),
    ledger: told(deliveryLedger(map), options.onDone),
    clock,
    random,
    logger,
    incidentUrl: (incident) =>
      adminUrl === undefined || !incident.startsWith('inc_')
        ? null
        : `${adminUrl.replace(/\/$/, '')}/#/incidents/${incident}`,
    undo: undoCommand,
    statusOf: (incident) => statusOf(options.enforcer(), incident),
  })
  await dispatcher.load()
  const running = dispatcher.start(stop)
  return {
    dispatcher,
    close: async () => {
      await running
      await map.close()
    },
  }
}

/** The same ledger; what is on record as done is told. */
function told(ledger: DeliveryLedger, onDone: AlertsOptions['onDone']): DeliveryLedger {
  return {
    load: () => ledger.load(),
    save: async (change) => {
      await ledger.save(change)
      const { done } = change
      for (const _ of done?.alertIds ?? []) onDone(done!.sink, done!.outcome)
    },
  }
}

/** How delivery to each channel goes, as people see it. */
export function channelsOf(dispatcher: Dispatcher): readonly ChannelView[] {
  return dispatcher.status().map(({ sink, queued, sent, lastError }) => ({
    name: sink,
    waiting: queued,
    sent,
    lastError: lastError === null ? null : scrubText(lastError),
  }))
}

function sinkOf(channel: ChannelConfig, clock: Clock): AlertSink {
  const { name } = channel
  switch (channel.kind) {
    case 'slack-bot':
      return createSlackBot({ name, token: channel.token.reveal(), channel: channel.channel, clock })
    case 'slack-webhook':
      return createSlackWebhook({ name, url: channel.url.reveal(), clock })
    case 'webhook':
      return createWebhook({ name, url: channel.url, secrets: [channel.secret.reveal()], clock })
  }
}

/** The call that lifts what stands; the dashboard has a button for it. */
function undoCommand(_incident: string, decisions: readonly DecisionStatus[]): string {
  const live = decisions.find(
    (d) => d.status === 'in-force' || d.status === 'pending' || d.status === 'failed',
  )
  return live === undefined ? '' : `POST /v1/decisions/${live.decision.id}/release`
}

function statusOf(enforcer: Enforcer, incident: string): readonly DecisionStatus[] {
  return enforcer.viewsOf(incident).map(({ decision, status, until, approval, proof, aliases }) => ({
    decision,
    status,
    until: isLive(status) ? until : null,
    approval,
    proof: proof?.state ?? null,
    aliases,
  }))
}
