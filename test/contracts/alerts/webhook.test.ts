import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWebhook } from '../../../alerts/webhook.ts'
import { wallTime } from '../../../core/time.ts'
import type { WebhookReceiver } from '../../services/webhook-receiver.ts'
import { startWebhookReceiver } from '../../services/webhook-receiver.ts'
import { alertMessage, alertRecord } from '../../unit/alerts/samples.ts'

const OLD = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
const NEW = `whsec_${Buffer.alloc(32, 2).toString('base64')}`
const never = new AbortController().signal
const machineClock = { now: () => wallTime(Date.now()) }
let receiver: WebhookReceiver

beforeEach(async () => {
  receiver = await startWebhookReceiver(OLD)
})
afterEach(() => receiver.close())

describe('signed webhook', () => {
  it('is accepted while the secret is rotated, before and after', async () => {
    for (const secrets of [[OLD], [NEW, OLD]]) {
      const hook = createWebhook({ name: 'hook', url: receiver.url, secrets, clock: machineClock })
      await hook.deliver(alertMessage(), null, never)
    }
    expect(receiver.webhooks.map(({ id, body }) => [id, body.type])).toEqual([
      ['al_0001', 'incident.opened'],
      ['al_0001', 'incident.opened'],
    ])
    const { headers, body } = receiver.requests[1] ?? {}
    const flat = { ...headers } as Record<string, string>
    expect(new Webhook(NEW).verify(body?.toString('utf8') ?? '', flat)).toMatchObject({
      type: 'incident.opened',
    })
  })

  it('is rejected with another secret or an old timestamp, which may pass', async () => {
    const wrong = createWebhook({ name: 'hook', url: receiver.url, secrets: [NEW], clock: machineClock })
    const old = { now: () => wallTime(Date.now() - 600_000) }
    const late = createWebhook({ name: 'hook', url: receiver.url, secrets: [OLD], clock: old })
    for (const hook of [wrong, late]) {
      await expect(hook.deliver(alertMessage(), null, never)).rejects.toMatchObject({
        code: 'SINK_UNREACHABLE',
        retriable: true,
      })
    }
    expect(receiver.rejections).toEqual(['No matching signature found', 'Message timestamp too old'])
  })

  it('is switched off by 410 and does not call again', async () => {
    const hook = createWebhook({ name: 'hook', url: receiver.url, secrets: [OLD], clock: machineClock })
    receiver.answerNext({ status: 410 })
    for (let i = 0; i < 3; i++) {
      const attempt = hook.deliver(alertMessage(), null, never)
      await expect(attempt).rejects.toMatchObject({ code: 'SINK_REFUSED', retriable: false })
    }
    expect(receiver.requests).toHaveLength(1)
  })

  it('replaces an id that could not stand in a header or a signature by a stable one', async () => {
    const hook = createWebhook({ name: 'hook', url: receiver.url, secrets: [OLD], clock: machineClock })
    for (let i = 0; i < 2; i++) {
      await hook.deliver(alertMessage({ alert: alertRecord({ id: 'al.1\r\nx: y' }) }), null, never)
    }
    const ids = receiver.webhooks.map(({ id }) => id)
    expect(ids[0]).toMatch(/^message_[0-9a-f]{20}$/)
    expect(ids[0]).toBe(ids[1])
  })

  it('counts a storm in one signed message', async () => {
    const hook = createWebhook({ name: 'hook', url: receiver.url, secrets: [OLD], clock: machineClock })
    const alerts = Array.from({ length: 300 }, (_, i) => alertRecord({ id: `al_${i}` }))
    await hook.deliverDigest({ id: 'digest_1', alerts, omitted: 5 }, never)
    const received = receiver.webhooks[0]?.body
    expect([received?.type, received?.data.total, received?.data.omitted]).toEqual([
      'incident.digest',
      305,
      5,
    ])
  })
})
