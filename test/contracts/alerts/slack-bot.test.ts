import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AlertSink } from '../../../alerts/sink.ts'
import { createSlackBot } from '../../../alerts/slack-bot.ts'
import { createSlackWebhook } from '../../../alerts/slack-webhook.ts'
import type { SlackFake } from '../../services/slack-fake.ts'
import { startSlackFake } from '../../services/slack-fake.ts'
import { ManualClock } from '../../unit/alerts/manual-clock.ts'
import { alertMessage, alertRecord, decisionStatus } from '../../unit/alerts/samples.ts'

const token = 'xoxb-test-token'
const clock = new ManualClock()
const never = new AbortController().signal
let slack: SlackFake
let sink: AlertSink

beforeEach(async () => {
  slack = await startSlackFake({ token, channels: { alerts: 'C0ALERTS' } })
  sink = createSlackBot({ name: 'slack', token, channel: 'alerts', baseUrl: slack.apiUrl, clock })
})
afterEach(() => slack.close())

const escalated = alertMessage({
  alert: alertRecord({ id: 'al_0002', transition: 'escalated', severity: 'critical' }),
})
const shown = (): string => JSON.stringify(slack.messages[0]?.payload)

describe('Slack with a bot token', () => {
  it('edits one message through the life of an incident', async () => {
    const handle = await sink.deliver(
      alertMessage({ decisions: [decisionStatus({ status: 'pending' })] }),
      null,
      never,
    )
    expect(JSON.parse(handle ?? '')).toMatchObject({ channel: 'C0ALERTS', ts: '1700000000.000001' })
    expect(shown()).toContain('being put in force')
    const same = await sink.deliver(alertMessage(), handle, never)
    expect(same).toBe(handle)
    expect(shown()).toContain(': in force until')
    const resolved = alertMessage({ alert: alertRecord({ id: 'al_0003', transition: 'resolved' }) })
    await sink.deliver(resolved, same, never)
    expect(shown()).toContain('Over: caller consumer:orders-svc')
    expect(slack.messages.map(({ edits }) => edits)).toEqual([2])
  })

  it('answers an escalation once in the thread, because an edit notifies nobody', async () => {
    const handle = await sink.deliver(alertMessage(), null, never)
    const after = await sink.deliver(escalated, handle, never)
    await sink.deliver(escalated, after, never)
    expect(slack.messages.map(({ threadTs }) => threadTs)).toEqual([null, '1700000000.000001'])
    expect(slack.messages[1]?.payload.text).toBe('Critical, getting worse: caller consumer:orders-svc')
  })

  it('does not when told so', async () => {
    const options = {
      name: 'slack',
      token,
      channel: 'alerts',
      baseUrl: slack.apiUrl,
      clock,
      replyOnEscalation: false,
    }
    const quiet = createSlackBot(options)
    await quiet.deliver(escalated, await quiet.deliver(alertMessage(), null, never), never)
    expect(slack.messages).toHaveLength(1)
  })

  it('posts anew when its message was deleted', async () => {
    const handle = await sink.deliver(alertMessage(), null, never)
    slack.delete('1700000000.000001')
    const next = await sink.deliver(escalated, handle, never)
    expect(slack.messages.map(({ ts }) => ts)).toEqual(['1700000000.000002'])
    expect(JSON.parse(next ?? '').ts).toBe('1700000000.000002')
  })

  it.each([
    'invalid_auth',
    'channel_not_found',
    'not_in_channel',
    'is_archived',
    'msg_too_long',
    'invalid_blocks',
  ])('takes %s for final', async (error) => {
    slack.answerNext({ status: 200, body: JSON.stringify({ ok: false, error }) })
    const failure = sink.deliver(alertMessage(), null, never)
    await expect(failure).rejects.toMatchObject({ code: 'SINK_REFUSED', retriable: false })
    await expect(failure).rejects.toThrow(error)
  })

  it.each([
    '{"ok":false,"error":"ratelimited"}',
    '{"ok":false,"error":"internal_error"}',
    '<html>',
    '{}',
    'null',
  ])('takes %s for passing', async (body) => {
    slack.answerNext({ status: 200, headers: { 'retry-after': '3' }, body })
    const failure = sink.deliver(alertMessage(), null, never)
    await expect(failure).rejects.toMatchObject({
      code: 'SINK_UNREACHABLE',
      retriable: true,
      retryAfterMs: 3000,
    })
  })

  it('refuses an answer that does not say where the message is', async () => {
    slack.answerNext({ status: 200, body: '{"ok":true}' })
    await expect(sink.deliver(alertMessage(), null, never)).rejects.toMatchObject({ code: 'SINK_REFUSED' })
  })

  it('says by name which token or channel is wrong', async () => {
    const wrong = { name: 'slack', channel: 'alerts', baseUrl: slack.apiUrl, clock }
    const badToken = createSlackBot({ ...wrong, token: 'xoxb-other' })
    await expect(badToken.deliver(alertMessage(), null, never)).rejects.toThrow(
      'Slack (slack) refused the message: invalid_auth',
    )
    const badChannel = createSlackBot({ ...wrong, token, channel: 'nowhere' })
    await expect(badChannel.deliver(alertMessage(), null, never)).rejects.toThrow('channel_not_found')
  })

  it('reads an HTTP date as Retry-After', async () => {
    const at = new Date(Math.ceil(clock.now() / 1000) * 1000 + 90_000).toUTCString()
    slack.answerNext({ status: 429, headers: { 'retry-after': at } })
    const wait = Date.parse(at) - clock.now()
    await expect(sink.deliver(alertMessage(), null, never)).rejects.toMatchObject({ retryAfterMs: wait })
  })
})

describe('Slack with an incoming webhook', () => {
  it.each([403, 404, 410])('takes status %d for final', async (status) => {
    const hook = createSlackWebhook({ name: 'hook', url: slack.webhookUrl, clock })
    slack.answerNext({ status, body: 'no_service' })
    await expect(hook.deliver(alertMessage(), null, never)).rejects.toMatchObject({ code: 'SINK_REFUSED' })
  })

  it('sends a message each for opened, escalated and resolved', async () => {
    const hook = createSlackWebhook({ name: 'hook', url: slack.webhookUrl, clock })
    for (const message of [alertMessage(), escalated])
      expect(await hook.deliver(message, null, never)).toBeNull()
    expect(slack.messages).toHaveLength(2)
  })
})

describe('the Slack stand-in', () => {
  it.each([
    ['more than 50 blocks', { blocks: Array(51).fill({ type: 'divider' }) }, 'invalid_blocks'],
    ['an unknown block', { blocks: [{ type: 'marquee' }] }, 'invalid_blocks'],
    ['an empty list of elements', { blocks: [{ type: 'context', elements: [] }] }, 'invalid_blocks'],
    [
      'a text above 3,000 characters',
      { blocks: [{ type: 'section', text: { type: 'plain_text', text: 'x'.repeat(3001) } }] },
      'invalid_blocks',
    ],
    [
      'a header above 150 characters',
      { blocks: [{ type: 'header', text: { type: 'plain_text', text: 'x'.repeat(151) } }] },
      'invalid_blocks',
    ],
    ['no text', {}, 'no_text'],
    [
      'an update of an unknown message',
      { text: 'x', ts: '1.2', channel: 'C0ALERTS', method: 'chat.update' },
      'message_not_found',
    ],
    ['an unknown channel', { text: 'x', channel: 'C9' }, 'channel_not_found'],
  ])('rejects %s', async (_what, fields, error) => {
    const method = 'method' in fields ? fields.method : 'chat.postMessage'
    const answer = await fetch(`${slack.apiUrl}${method}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json; charset=utf-8' },
      body: JSON.stringify({ channel: 'C0ALERTS', ...fields }),
    })
    expect(await answer.json()).toEqual({ ok: false, error })
  })

  it('rejects a missing token, a wrong type, broken JSON and broken UTF-8', async () => {
    const json = 'application/json'
    const authorization = `Bearer ${token}`
    const answers = await Promise.all(
      [
        { headers: { 'content-type': json }, body: '{}' },
        { headers: { authorization, 'content-type': 'text/plain' }, body: '{}' },
        { headers: { authorization, 'content-type': json }, body: '{' },
        { headers: { authorization, 'content-type': json }, body: Buffer.from([0x22, 0xff, 0x22]) },
      ].map(async (request) =>
        (await fetch(`${slack.apiUrl}chat.postMessage`, { method: 'POST', ...request })).json(),
      ),
    )
    const errors = answers.map((answer) => (answer as { readonly error: string }).error)
    expect(errors).toEqual(['not_authed', 'invalid_post_type', 'invalid_json', 'invalid_json'])
  })
})
