import { createSlackBot } from '../../../alerts/slack-bot.ts'
import { createSlackWebhook } from '../../../alerts/slack-webhook.ts'
import { createWebhook } from '../../../alerts/webhook.ts'
import { wallTime } from '../../../core/time.ts'
import { startSlackFake } from '../../services/slack-fake.ts'
import { startWebhookReceiver } from '../../services/webhook-receiver.ts'
import type { SinkUnderTest } from './sink-contract.ts'

/** The receiver compares timestamps with the machine's clock. */
const clock = { now: () => wallTime(Date.now()) }
const timeoutMs = 1000
const token = 'xoxb-012345-secret-token'
export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 0x5a).toString('base64')}`

/** Every sink that exists, each with the server it talks to. */
export const SINKS: Readonly<Record<string, () => Promise<SinkUnderTest>>> = {
  'Slack bot': async () => {
    const slack = await startSlackFake({ token, channels: { alerts: 'C0ALERTS' } })
    const sink = createSlackBot({
      name: 'slack',
      token,
      channel: '#alerts',
      baseUrl: slack.apiUrl,
      clock,
      timeoutMs,
    })
    const visible = (): number => slack.messages.length
    return { sink, http: slack, visible, secrets: [token], close: slack.close }
  },
  'Slack webhook': async () => {
    const slack = await startSlackFake({ token, channels: {} })
    const sink = createSlackWebhook({ name: 'slack-hook', url: slack.webhookUrl, clock, timeoutMs })
    const visible = (): number => slack.messages.length
    return { sink, http: slack, visible, secrets: [new URL(slack.webhookUrl).pathname], close: slack.close }
  },
  'signed webhook': async () => {
    const receiver = await startWebhookReceiver(WEBHOOK_SECRET)
    const url = `${receiver.url}/hooks/secret-path?key=secret-key`
    const sink = createWebhook({ name: 'hook', url, secrets: [WEBHOOK_SECRET], clock, timeoutMs })
    const secrets = [WEBHOOK_SECRET, 'secret-path', 'secret-key']
    return { sink, http: receiver, visible: () => receiver.webhooks.length, secrets, close: receiver.close }
  },
}
