import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { AlertSink } from '../../../alerts/sink.ts'
import { createSlackBot } from '../../../alerts/slack-bot.ts'
import { createSlackWebhook } from '../../../alerts/slack-webhook.ts'
import { Screen } from '../../../cli/demo/screen.ts'
import { terminalSink } from '../../../cli/demo/terminal-sink.ts'
import { incidentText } from '../../../cli/explanation.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { HOUR_MS, wallTime } from '../../../core/time.ts'
import type { IncidentView, Page } from '../../../engine/control-plane.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually } from '../../services/curfew-process.ts'
import { type PushedCurfew, startPushedCurfew } from '../../services/pushed-curfew.ts'
import { startSlackFake } from '../../services/slack-fake.ts'
import type { WebhookReceiver } from '../../services/webhook-receiver.ts'
import { HOSTILE_TEXTS } from '../../unit/alerts/samples.ts'
import { Browser, findChromium } from '../admin/browser.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 240_000 })

const FORGED = 'x\n{"seq":1,"actor":"root","action":"forged","level":50,"msg":"forged"}\n'
/** Lone surrogates and NUL are no text of a JSON line that a gateway could write. */
const CORPUS = [...HOSTILE_TEXTS.filter((text) => !/\p{Cs}/u.test(text)), FORGED]
/** What acts instead of being read: controls but the line end, overrides, zero-width and other format characters. */
const ACTIVE = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

let compiled: CompiledProgram
let pushed: PushedCurfew
let curfew: CurfewProcess
let webhook: WebhookReceiver
let incidents: readonly IncidentView[]

/** Six calm days of a caller and then a download, with the hostile text wherever a caller or gateway writes. */
function life(text: string, i: number, now: number): string[] {
  let n = 0
  const line = (time: number, records: number) =>
    JSON.stringify({
      id: `${i}-${n++}-${text.slice(0, 40)}`,
      time,
      principal: { kind: 'consumer', id: `id-${i}`, label: text, verified: true },
      parents: [text],
      userAgent: text,
      method: n % 2 === 0 ? 'GET' : text.slice(0, 30),
      route: `/v1/${text}`,
      path: `/v1/${text}`,
      objectIds: [text],
      clientIp: '203.0.113.7',
      status: 200,
      records,
      responseBytes: records * 400,
    })
  const calm = Array.from({ length: 60 }, (_, k) => line(now - (140 - 2 * k) * HOUR_MS + i * 1_000, 2))
  return [...calm, ...Array.from({ length: 100 }, (_, k) => line(now - 60_000 + k * 400, 60))]
}

beforeAll(async () => {
  compiled = await compileProgram()
  pushed = await startPushedCurfew({ program: compiled.file('cli/main.ts'), formats: ['canonical'] })
  curfew = pushed.curfew
  webhook = pushed.webhook
  const now = Date.now()
  const lines = CORPUS.flatMap((text, i) => life(text, i, now))
  const timeOf = (line: string) => (JSON.parse(line) as { time: number }).time
  lines.sort((a, b) => timeOf(a) - timeOf(b))
  // Broken lines as well: what is quoted of them ends in dead letters and the log.
  lines.push(...CORPUS.map((text) => `{"time":"${text}","principal":`))
  await pushed.push('canonical', lines)
  incidents = await eventually('an incident for nearly every hostile name', async () => {
    const { items } = (await curfew.api('/v1/incidents?limit=100')).body as Page<IncidentView>
    return items.length >= CORPUS.length - 3 && webhook.webhooks.length >= 5 ? items : null
  })
})
afterAll(async () => {
  await pushed?.close()
  await compiled?.remove()
})

/** Texts and where they went: what a reader of the test's output wants to know. */
afterAll(() => {
  const sent = `${CORPUS.length} hostile texts, ${incidents?.length} incidents, ${alerts().length} alerts`
  console.log(
    `${sent}; ${webhook?.requests.length} webhook bodies, ${curfew?.stderr().length} bytes of own log`,
  )
})

const alerts = (): readonly AlertRecord[] => incidents.flatMap(({ transitions }) => transitions)

async function deliverAll(sink: AlertSink): Promise<void> {
  const stop = new AbortController().signal
  for (const alert of alerts()) {
    await sink.deliver(
      { id: alert.id, alert, decisions: [], incidentUrl: null, undo: 'curfew panic' },
      null,
      stop,
    )
  }
  await sink.deliverDigest({ id: 'dig_1', alerts: alerts(), omitted: 3 }, stop)
}

/** Every string of a JSON document. */
function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (value === null || typeof value !== 'object') return []
  return Object.values(value).flatMap(stringsOf)
}

/** Takes elements out that Slack shows as code, in which it makes no links. */
function withoutCode(_: string, value: unknown): unknown {
  const { style } = (value ?? {}) as { readonly style?: { readonly code?: boolean } }
  return style?.code === true ? null : value
}

describe('hostile text from a log', () => {
  it('reaches Slack, in both modes, as text that neither links, mentions nor hides anything', async () => {
    const clock = { now: () => wallTime(Date.now()) }
    const slack = await startSlackFake({ token: 'xoxb-1', channels: { alerts: 'C0ALERTS' } })
    await deliverAll(
      createSlackBot({ name: 'bot', token: 'xoxb-1', channel: 'alerts', baseUrl: slack.apiUrl, clock }),
    )
    await deliverAll(createSlackWebhook({ name: 'hook', url: slack.webhookUrl, clock }))
    await slack.close()
    expect(slack.requests).toHaveLength(2 * (alerts().length + 1))
    expect(slack.messages).toHaveLength(slack.requests.length)
    for (const { body } of slack.requests) {
      expect(body.length).toBeLessThan(20_000)
      // Without these Slack takes no bare @name for a mention, and no address for a link.
      expect(body.toString()).not.toMatch(/"link_names":(?!false)|"parse":(?!"none")/)
      expect(body.toString()).not.toMatch(ACTIVE)
      for (const text of stringsOf(JSON.parse(body.toString()))) {
        expect(text).not.toMatch(ACTIVE)
        expect(text).not.toMatch(/<[!@#h]/)
      }
      for (const text of stringsOf(JSON.parse(body.toString(), withoutCode)))
        expect(text).not.toMatch(/:\/\/(?:x|evil)\.example/)
    }
  })

  it('reaches a webhook as plain ASCII without markup, under a size that receivers take', () => {
    expect(webhook.rejections).toEqual([])
    for (const { body } of webhook.requests) {
      expect(body.length).toBeLessThan(20_000)
      expect(body.toString('latin1')).toMatch(/^[\n\x20-\x7e]*$/)
      expect(body.toString('latin1')).not.toMatch(/[<>&]/)
      for (const text of stringsOf(JSON.parse(body.toString()))) expect(text).not.toMatch(ACTIVE)
    }
  })

  it('is a line of its own nowhere: not on the terminal of the demo, not in an explanation', async () => {
    let told = ''
    const out = new Writable({
      write(chunk: Buffer, _encoding, done) {
        told += chunk.toString()
        done()
      },
    })
    await deliverAll(terminalSink(new Screen(out, false)))
    const explained = incidents.map(incidentText).join('\n')
    for (const text of [told, explained]) {
      expect(text.length).toBeGreaterThan(1_000)
      expect(text).not.toMatch(ACTIVE)
      expect(text).not.toMatch(/^\s*(?:\{"seq"|line two)/m)
    }
  })

  it('enters the audit log as one line of what a person said, and changes nothing around it', async () => {
    const chosen = incidents.slice(0, CORPUS.length)
    let asked = 0
    for (const [i, incident] of chosen.entries()) {
      const reason = CORPUS[i % CORPUS.length]!.slice(0, 400)
      const { status } = await curfew.api(`/v1/incidents/${incident.id}/close`, {
        verdict: 'dismiss',
        reason,
      })
      if (status === 200) asked++
      else expect(status).toBe(400)
    }
    expect(asked).toBeGreaterThan(5)
    const text = String(await pushed.shown('/v1/audit/export'))
    expect(text).not.toMatch(ACTIVE)
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { action: string; reason: string })
    expect(lines.filter(({ action }) => action === 'incident.dismiss')).toHaveLength(asked)
    expect(lines.some(({ action }) => action === 'forged')).toBe(false)
  })

  it('is in no metric, and in no byte of the own log that a terminal would act on', async () => {
    const exposition = String(await pushed.shown('/metrics'))
    const own = curfew.stdout() + curfew.stderr()
    for (const text of [exposition, own]) {
      expect(text).not.toMatch(ACTIVE)
      expect(text).not.toMatch(/<!channel>|alert\(1\)|=cmd|Approve/)
    }
    for (const line of curfew
      .stderr()
      .trim()
      .split('\n')
      .filter((each) => each !== '')) {
      expect((JSON.parse(line) as { msg: string }).msg).not.toBe('forged')
    }
  })

  it.skipIf(findChromium() === null)(
    'is text in a real browser: no element, no link, no script, nothing hidden',
    async () => {
      const browser = await Browser.open(findChromium() ?? '')
      try {
        await browser.goTo(`${curfew.admin}/`)
        await browser.until('document.readyState === "complete"')
        await browser.value(`sessionStorage.setItem('curfew-token', '${pushed.adminToken}')`)
        for (const page of [
          '/incidents?show=all',
          '/principals',
          `/incidents/${incidents[0]!.id}`,
          '/audit',
        ]) {
          await browser.goTo('about:blank')
          await browser.goTo(`${curfew.admin}/#${page}`)
          await browser.until("document.querySelector('main table, main .card, main tbody') !== null")
          expect(
            await browser.value("document.querySelectorAll('main script, main img, main iframe').length"),
          ).toBe(0)
          expect(
            await browser.value(
              `[...document.querySelectorAll('main a')].filter((a) => !a.href.startsWith('${curfew.admin}/')).length`,
            ),
          ).toBe(0)
          expect(String(await browser.value("document.querySelector('main').textContent"))).not.toMatch(
            ACTIVE,
          )
        }
        expect(browser.complaints).toEqual([])
      } finally {
        await browser.close()
      }
    },
  )
})
