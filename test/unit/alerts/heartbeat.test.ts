import { afterEach, describe, expect, it } from 'vitest'
import { createHeartbeat } from '../../../alerts/heartbeat.ts'
import { wallTime } from '../../../core/time.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../../services/webhook-receiver.ts'

const SECRET = `whsec_${Buffer.from('heartbeat-secret-0123456789012').toString('base64')}`
const clock = { now: () => wallTime(Date.now()) }
const never = new AbortController().signal
let receiver: WebhookReceiver | null = null

afterEach(async () => {
  await receiver?.close()
  receiver = null
})

describe('heartbeats', () => {
  it('are signed and say up to when calls were judged', async () => {
    receiver = await startWebhookReceiver(SECRET)
    const send = createHeartbeat({ url: receiver.url, secrets: [SECRET], clock })
    await send(Date.UTC(2026, 8, 7, 12), 1_500, never)
    expect(receiver.rejections).toEqual([])
    expect(receiver.webhooks[0]?.body).toMatchObject({
      type: 'curfew.heartbeat',
      data: { lastJudged: '2026-09-07T12:00:00.000Z', lagSeconds: 2 },
    })
  })

  it('fail when the monitor does not take them, without quoting its address', async () => {
    receiver = await startWebhookReceiver(SECRET)
    const send = createHeartbeat({ url: `${receiver.url}/secret-path`, secrets: [], clock })
    const error = await send(0, 0, never).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'SINK_UNREACHABLE' })
    expect(String(error)).not.toContain('secret-path')
  })
})
