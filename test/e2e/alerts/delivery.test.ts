import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createDispatcher } from '../../../alerts/dispatcher.ts'
import type { Dispatcher } from '../../../alerts/dispatcher-options.ts'
import type { DecisionStatus } from '../../../alerts/sink.ts'
import { createSlackBot } from '../../../alerts/slack-bot.ts'
import { createSlackWebhook } from '../../../alerts/slack-webhook.ts'
import { createWebhook } from '../../../alerts/webhook.ts'
import type { AlertRecord, IncidentTransition } from '../../../core/incident.ts'
import { wallTime } from '../../../core/time.ts'
import type { SlackFake } from '../../services/slack-fake.ts'
import { startSlackFake } from '../../services/slack-fake.ts'
import type { WebhookReceiver } from '../../services/webhook-receiver.ts'
import { startWebhookReceiver } from '../../services/webhook-receiver.ts'
import { ManualClock } from '../../unit/alerts/manual-clock.ts'
import { MemoryLedger } from '../../unit/alerts/memory-ledger.ts'
import { alertRecord, decisionStatus } from '../../unit/alerts/samples.ts'

const token = 'xoxb-test-token'
const secret = `whsec_${Buffer.alloc(32, 3).toString('base64')}`

let clock: ManualClock
let bot: SlackFake
let hook: SlackFake
let receiver: WebhookReceiver
let ledger: MemoryLedger
let statuses: readonly DecisionStatus[]
let stop: AbortController

beforeEach(async () => {
  clock = new ManualClock(Date.now())
  const now = (): number => clock.now()
  bot = await startSlackFake({ token, channels: { alerts: 'C0ALERTS' }, now })
  hook = await startSlackFake({ token, channels: {}, now })
  receiver = await startWebhookReceiver(secret)
  ledger = new MemoryLedger()
  statuses = [decisionStatus({ status: 'pending' })]
  stop = new AbortController()
})
afterEach(async () => {
  stop.abort()
  await Promise.all([bot.close(), hook.close(), receiver.close()])
})

async function startDispatcher(realTime = false): Promise<Dispatcher> {
  stop = new AbortController()
  const quiet = (): void => undefined
  const dispatcher = createDispatcher({
    sinks: [
      {
        sink: createSlackBot({ name: 'bot', token, channel: 'alerts', baseUrl: bot.apiUrl, clock }),
        minSeverity: 'low',
      },
      { sink: createSlackWebhook({ name: 'hook', url: hook.webhookUrl, clock }), minSeverity: 'low' },
      {
        sink: createWebhook({ name: 'signed', url: receiver.url, secrets: [secret], clock }),
        minSeverity: 'low',
      },
    ],
    ledger,
    clock,
    random: () => 0.5,
    logger: { info: quiet, warn: quiet, error: quiet },
    incidentUrl: (incident) => `https://admin.example/incidents/${incident}`,
    undo: () => 'curfew panic',
    statusOf: () => statuses,
    ...(realTime ? { clock: { now: () => wallTime(Date.now()) } } : { wait: clock.wait }),
  })
  await dispatcher.load()
  void dispatcher.start(stop.signal)
  return dispatcher
}

function of(incident: number, transition: IncidentTransition = 'opened'): AlertRecord {
  return alertRecord({ id: `al_${incident}_${transition}`, incident: `inc_${incident}`, transition })
}

/** Moves time on until the condition holds; real sockets need real turns in between. */
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 3000 && !condition(); i++) {
    await clock.advance(100)
    await pause(1)
  }
  expect(condition()).toBe(true)
}

const idle = (dispatcher: Dispatcher) => (): boolean =>
  dispatcher.status().every(({ queued }) => queued === 0)

describe('alerts over HTTP', () => {
  it('tells a storm of 500 incidents in at most 5 messages per channel, none lost', async () => {
    const dispatcher = await startDispatcher()
    for (let i = 0; i < 500; i++) await dispatcher.accept(of(i))
    await until(idle(dispatcher))
    expect(bot.messages).toHaveLength(5)
    expect(hook.messages).toHaveLength(5)
    expect(receiver.webhooks).toHaveLength(5)
    expect(receiver.webhooks.at(-1)?.body.data).toMatchObject({ total: 496 })
    expect(JSON.stringify(bot.messages.at(-1)?.payload)).toContain('496 alerts in one message')
    expect([...bot.requests, ...hook.requests]).toHaveLength(10)
  })

  it('tells the story of an incident over a restart and an outage of one sink', async () => {
    const first = await startDispatcher()
    receiver.answerNext('drop', { status: 503 }, { status: 429, headers: { 'retry-after': '5' } })
    await first.accept(of(1))
    await until(() => bot.messages.length === 1 && hook.messages.length === 1)
    expect(receiver.webhooks).toHaveLength(0)
    await until(idle(first))

    statuses = [decisionStatus({ status: 'in-force' })]
    first.refresh('inc_1')
    await until(() => bot.messages[0]?.edits === 1)
    expect(JSON.stringify(bot.messages[0]?.payload)).toContain(': in force until')

    stop.abort()
    await clock.settle()
    await first.accept(of(1, 'escalated'))
    const second = await startDispatcher()
    await second.accept(of(1, 'escalated'))
    await until(idle(second))
    await second.accept(of(1, 'resolved'))
    await until(idle(second))

    expect(bot.messages.map(({ threadTs, edits }) => [threadTs === null, edits])).toEqual([
      [true, 3],
      [false, 0],
    ])
    expect(hook.messages).toHaveLength(3)
    expect(receiver.webhooks.map(({ id, body }) => [id, body.type])).toEqual([
      ['al_1_opened', 'incident.opened'],
      ['al_1_escalated', 'incident.escalated'],
      ['al_1_resolved', 'incident.resolved'],
    ])
    expect(receiver.rejections).toEqual([])
    expect((await ledger.load()).pending).toEqual([])
  })

  it('posts a new message when somebody deleted the old one', async () => {
    const dispatcher = await startDispatcher()
    await dispatcher.accept(of(1))
    await until(() => bot.messages.length === 1)
    await until(idle(dispatcher))
    bot.delete(bot.messages[0]?.ts ?? '')
    await dispatcher.accept(of(1, 'resolved'))
    await until(idle(dispatcher))
    expect(bot.messages).toHaveLength(1)
    expect(JSON.stringify(bot.messages[0]?.payload)).toContain('Over: ')
  })

  it('runs on real time and stops at once', async () => {
    const dispatcher = await startDispatcher(true)
    await dispatcher.accept(of(1))
    await dispatcher.drain()
    expect([bot.messages, hook.messages, receiver.webhooks].map(({ length }) => length)).toEqual([1, 1, 1])
    stop.abort()
    await dispatcher.drain()
  })
})
