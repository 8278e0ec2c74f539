import { describe, expect, it } from 'vitest'
import { digestText, messageText } from '../../../alerts/message-text.ts'
import { digestPayload, MAX_DIGEST_ENTRIES, messagePayload, slackText } from '../../../alerts/slack-blocks.ts'
import { slackProblem } from '../../services/slack-fake.ts'
import {
  alertMessage,
  alertRecord,
  decisionStatus,
  HOSTILE_TEXTS,
  hostileMessage,
  reason,
} from './samples.ts'

describe('Slack message', () => {
  it('has a title, facts, reasons, what was done, how to undo it and the ids', () => {
    const { blocks, text } = messagePayload(messageText(alertMessage()))
    expect(blocks.map((block) => block.type)).toEqual([
      'header',
      'rich_text',
      'rich_text',
      'rich_text',
      'rich_text',
      'rich_text',
      'rich_text',
      'context',
    ])
    expect(text).toBe(
      'High: caller consumer:orders-svc stopped behaving like itself: ' +
        '1,250 records in 10 minutes; usually 40, 99 % of the time below 120',
    )
    expect(JSON.stringify(blocks)).toContain('"type":"link","url":"https://admin.example/incidents/inc_0001"')
  })

  it.each(HOSTILE_TEXTS)('never lets Slack read %j as more than text', (hostile) => {
    const payload = messagePayload(messageText(hostileMessage(hostile)))
    expect(slackProblem({ ...payload })).toBeNull()
    const json = JSON.stringify(payload)
    expect(json).not.toMatch(/[<>]|mrkdwn":true|"type":"mrkdwn"/)
    expect(json.match(/"url":"[^"]*"/g)).toEqual(['"url":"https://admin.example/incidents/inc_0001"'])
    expect(payload.text).not.toContain('://')
    expect(payload.mrkdwn).toBe(false)
  })

  it('stays within the limits of Slack however much there is to say', () => {
    const long = '<'.repeat(5000)
    const alert = alertRecord({
      reasons: Array.from({ length: 99 }, () => reason({ unit: long, feature: long })),
    })
    const decisions = Array.from({ length: 99 }, () => decisionStatus({ status: long }))
    expect(slackProblem({ ...messagePayload(messageText(alertMessage({ alert, decisions }))) })).toBeNull()
    const storm = {
      id: 'digest_1',
      omitted: 0,
      alerts: Array(500).fill(alertRecord({ entity: { type: 'route', id: long } })),
    }
    expect(slackProblem({ ...digestPayload(digestText(storm, MAX_DIGEST_ENTRIES)) })).toBeNull()
    const empty = { id: 'digest_2', omitted: 3, alerts: [] }
    expect(slackProblem({ ...digestPayload(digestText(empty, MAX_DIGEST_ENTRIES)) })).toBeNull()
  })

  it('never cuts inside an entity', () => {
    expect(slackText('<<<<', 10)).toBe('&lt;&lt;…')
    expect(slackText('a & b', 20)).toBe('a &amp; b')
  })
})
