import { strict as assert } from 'node:assert'
import type { AlertSink } from '../../../alerts/sink.ts'
import { CurfewError } from '../../../core/errors.ts'
import type { ScriptedHttp } from '../../services/scripted-http.ts'
import { alertMessage, alertRecord, HOSTILE_TEXTS, hostileMessage } from '../../unit/alerts/samples.ts'

/** A sink with the real server behind it. */
export interface SinkUnderTest {
  readonly sink: AlertSink
  readonly http: ScriptedHttp
  /** Messages that people see at the other end, edited ones once. */
  readonly visible: () => number
  /** Nothing of these may appear in an error. */
  readonly secrets: readonly string[]
  close(): Promise<void>
}

export interface SinkCheck {
  readonly name: string
  run(under: SinkUnderTest): Promise<void>
}

const never = (): AbortSignal => new AbortController().signal

async function failureOf(attempt: Promise<unknown>): Promise<CurfewError> {
  const error: unknown = await attempt.then(
    () => null,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof CurfewError, `a CurfewError was due, got ${String(error)}`)
  return error
}

const lastBody = (http: ScriptedHttp): string => http.requests.at(-1)?.body.toString('utf8') ?? ''

/** What every sink promises; each check gets a fresh sink and server. */
export const SINK_CHECKS: readonly SinkCheck[] = [
  {
    name: 'one alert is one message that carries the alert and incident ids',
    async run({ sink, http, visible }) {
      await sink.deliver(alertMessage(), null, never())
      assert.equal(visible(), 1)
      assert.equal(http.requests.length, 1)
      const body = lastBody(http)
      assert.ok(`${body} ${http.requests[0]?.headers['webhook-id']}`.includes('al_0001'))
      assert.ok(body.includes('inc_0001'))
    },
  },
  {
    name: 'a repeat with the same id is recognisable or one message',
    async run({ sink, http, visible }) {
      const handle = await sink.deliver(alertMessage(), null, never())
      await sink.deliver(alertMessage(), handle, never())
      const ids = http.requests.map(
        ({ body, headers }) => headers['webhook-id'] ?? /al_\d+/.exec(body.toString())?.[0],
      )
      assert.deepEqual(ids, ['al_0001', 'al_0001'])
      if (handle !== null) assert.equal(visible(), 1)
    },
  },
  {
    name: 'a handle leads to an edit, not to another message',
    async run({ sink, visible }) {
      const handle = await sink.deliver(alertMessage(), null, never())
      const resolved = alertRecord({ id: 'al_0002', transition: 'resolved' })
      const next = await sink.deliver(alertMessage({ alert: resolved }), handle, never())
      assert.equal(visible(), handle === null ? 2 : 1)
      assert.equal(next === null, handle === null)
    },
  },
  {
    name: 'a handle that means nothing here leads to a new message',
    async run({ sink, visible }) {
      for (const handle of ['', 'not json', '{"channel":1}', '[]'])
        await sink.deliver(alertMessage(), handle, never())
      assert.equal(visible(), 4)
    },
  },
  {
    name: 'nothing is sent after an abort',
    async run({ sink, http }) {
      const stopped = AbortSignal.abort()
      const digest = { id: 'digest_1', alerts: [alertRecord()], omitted: 0 }
      assert.equal((await failureOf(sink.deliver(alertMessage(), null, stopped))).code, 'ABORTED')
      assert.equal((await failureOf(sink.deliverDigest(digest, stopped))).code, 'ABORTED')
      assert.equal(http.requests.length, 0)
    },
  },
  {
    name: 'an abort ends a call under way',
    async run({ sink, http }) {
      http.answerNext('hang')
      const stop = new AbortController()
      const attempt = failureOf(sink.deliver(alertMessage(), null, stop.signal))
      await http.received(1)
      stop.abort()
      assert.equal((await attempt).code, 'ABORTED')
    },
  },
  {
    name: 'no answer, a lost connection and a server error may pass',
    async run({ sink, http }) {
      http.answerNext('hang', 'drop', { status: 503 }, { status: 500, body: 'rollup_error' })
      for (let i = 0; i < 4; i++) {
        const error = await failureOf(sink.deliver(alertMessage(), null, never()))
        assert.deepEqual([error.code, error.retriable], ['SINK_UNREACHABLE', true])
      }
    },
  },
  {
    name: 'Retry-After is passed on',
    async run({ sink, http }) {
      http.answerNext(
        { status: 429, headers: { 'retry-after': '17' } },
        { status: 503, headers: { 'retry-after': 'x' } },
      )
      const told = await failureOf(sink.deliver(alertMessage(), null, never()))
      assert.deepEqual([told.code, told.retriable, told.retryAfterMs], ['SINK_UNREACHABLE', true, 17_000])
      const untold = await failureOf(sink.deliver(alertMessage(), null, never()))
      assert.equal(untold.retryAfterMs, undefined)
    },
  },
  {
    name: 'a message that is refused for good is not retriable',
    async run({ sink, http }) {
      http.answerNext({ status: 400, body: 'invalid_payload' })
      const error = await failureOf(sink.deliver(alertMessage(), null, never()))
      assert.deepEqual([error.code, error.retriable], ['SINK_REFUSED', false])
    },
  },
  {
    name: 'redirects are not followed',
    async run({ sink, http, visible }) {
      http.answerNext({ status: 307, headers: { location: '/elsewhere' } })
      await failureOf(sink.deliver(alertMessage(), null, never()))
      assert.equal(http.requests.length, 1)
      assert.equal(visible(), 0)
    },
  },
  {
    name: 'an endless answer is not read to the end',
    async run({ sink, http }) {
      http.answerNext('endless')
      await sink.deliver(alertMessage(), null, never()).catch((error: unknown) => {
        assert.ok(error instanceof CurfewError)
      })
      assert.ok(http.endlessBytes() < 8_000_000, `${http.endlessBytes()} bytes were taken`)
    },
  },
  {
    name: 'log text arrives as inert text',
    async run({ sink, http }) {
      for (const text of HOSTILE_TEXTS) {
        await sink.deliver(hostileMessage(text), null, never())
        const body = lastBody(http)
        assert.doesNotMatch(body, /[<>]|\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/u)
        assert.doesNotMatch(body, /\\n|\\r|\\u00[01][0-9a-f]|\\u20(2[89a-e]|0[b-f]|6[6-9])|"type":"mrkdwn"/i)
        assert.doesNotMatch(body, /"url":"(?!https:\/\/admin\.example\/)/)
        // No line starts with a sign that spreadsheets take for a formula.
        assert.doesNotMatch(body, /("plain_text"|\[\{"type":"text"),"text":"[=+@-]|"summary":"[=+@-]/)
        assert.ok(body.length < 20_000, `${body.length} bytes`)
      }
    },
  },
  {
    name: 'a storm is one message that says how many',
    async run({ sink, http, visible }) {
      const alerts = Array.from({ length: 500 }, (_, i) =>
        alertRecord({ id: `al_${i}`, incident: `inc_${i}` }),
      )
      await sink.deliverDigest({ id: 'digest_1', alerts, omitted: 11 }, never())
      assert.equal(visible(), 1)
      assert.match(lastBody(http), /\b511\b/)
      assert.match(lastBody(http), /digest_1/)
      assert.ok(lastBody(http).length < 20_000)
    },
  },
  {
    name: 'a digest is as inert as a message',
    async run({ sink, http }) {
      const alerts = HOSTILE_TEXTS.map((text) => hostileMessage(text).alert)
      await sink.deliverDigest({ id: 'digest_1', alerts, omitted: 0 }, never())
      assert.doesNotMatch(lastBody(http), /[<>]|\p{Cc}|\p{Cf}|\\n|\\u202e|"type":"mrkdwn"/iu)
    },
  },
  {
    name: 'errors tell no secret',
    async run({ sink, http, secrets }) {
      http.answerNext('drop', { status: 400, body: `no ${'x'.repeat(9000)}\n` }, { status: 500 })
      for (let i = 0; i < 3; i++) {
        const error = await failureOf(sink.deliver(alertMessage(), null, never()))
        const told = `${error.message} ${error.stack} ${String(error.cause)} ${JSON.stringify(error)}`
        for (const secret of secrets) assert.ok(!told.includes(secret), 'a secret is in the error')
        assert.ok(error.message.length < 300 && !error.message.includes('\n'))
      }
    },
  },
]
