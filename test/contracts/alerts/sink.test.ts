import { describe, expect, it } from 'vitest'
import type { AlertMessage, AlertSink } from '../../../alerts/sink.ts'
import { CurfewError } from '../../../core/errors.ts'
import { alertMessage } from '../../unit/alerts/samples.ts'
import type { SinkUnderTest } from './sink-contract.ts'
import { SINK_CHECKS } from './sink-contract.ts'
import { SINKS } from './sinks.ts'

async function verdict(make: () => Promise<SinkUnderTest>, name: string): Promise<unknown> {
  const check = SINK_CHECKS.find((known) => known.name === name)
  if (check === undefined) throw new Error(`no check is called ${name}`)
  const under = await make()
  try {
    await check.run(under)
    return null
  } catch (error) {
    return error
  } finally {
    await under.close()
  }
}

for (const [name, make] of Object.entries(SINKS)) {
  describe(`sink contract: ${name}`, () => {
    for (const check of SINK_CHECKS) {
      it(check.name, async () => {
        const problem = await verdict(make, check.name)
        if (problem !== null) throw problem
      })
    }
  })
}

type Twist = (sink: AlertSink, under: SinkUnderTest) => Partial<AlertSink>
type Deliver = AlertSink['deliver']

/** Sinks that are wrong in one way, each with the check that must notice. */
const WRONG_TWINS: readonly {
  readonly wrong: string
  readonly of: string
  readonly check: string
  readonly twist: Twist
}[] = [
  {
    wrong: 'sends everything twice',
    of: 'Slack webhook',
    check: 'one alert is one message that carries the alert and incident ids',
    twist: (sink) => ({
      deliver: async (message, handle, stop) => {
        await sink.deliver(message, handle, stop)
        return sink.deliver(message, handle, stop)
      },
    }),
  },
  {
    wrong: 'makes up a new id each time',
    of: 'signed webhook',
    check: 'a repeat with the same id is recognisable or one message',
    twist: (sink) => {
      let serial = 0
      return {
        deliver: (message, handle, stop) => sink.deliver({ ...message, id: `m${serial++}` }, handle, stop),
      }
    },
  },
  {
    wrong: 'forgets where its message stands',
    of: 'Slack bot',
    check: 'a handle leads to an edit, not to another message',
    twist: (sink) => ({ deliver: (message, _handle, stop) => sink.deliver(message, null, stop) }),
  },
  {
    wrong: 'chokes on a handle of somebody else',
    of: 'Slack bot',
    check: 'a handle that means nothing here leads to a new message',
    twist: (sink) => ({
      deliver: async (message, handle, stop) => {
        if (handle !== null) JSON.parse(handle)
        return sink.deliver(message, handle, stop)
      },
    }),
  },
  {
    wrong: 'sends after an abort',
    of: 'signed webhook',
    check: 'nothing is sent after an abort',
    twist: (sink) => ({
      deliver: (message, handle) => sink.deliver(message, handle, new AbortController().signal),
    }),
  },
  {
    wrong: 'sends a digest after an abort',
    of: 'Slack bot',
    check: 'nothing is sent after an abort',
    twist: (sink) => ({
      deliverDigest: (digest) => sink.deliverDigest(digest, new AbortController().signal),
    }),
  },
  {
    wrong: 'does not hear an abort in the middle',
    of: 'Slack webhook',
    check: 'an abort ends a call under way',
    twist: (sink) => ({
      deliver: (message, handle) => sink.deliver(message, handle, new AbortController().signal),
    }),
  },
  {
    wrong: 'takes a lost connection for the end',
    of: 'signed webhook',
    check: 'no answer, a lost connection and a server error may pass',
    twist: (sink) => ({ deliver: changed(sink, (error) => new CurfewError(error.code, error.message)) }),
  },
  {
    wrong: 'takes a failure for success',
    of: 'Slack bot',
    check: 'no answer, a lost connection and a server error may pass',
    twist: (sink) => ({
      deliver: (message, handle, stop) => sink.deliver(message, handle, stop).catch(() => null),
    }),
  },
  {
    wrong: 'does not pass on Retry-After',
    of: 'Slack bot',
    check: 'Retry-After is passed on',
    twist: (sink) => ({
      deliver: changed(
        sink,
        (error) => new CurfewError(error.code, error.message, { retriable: error.retriable }),
      ),
    }),
  },
  {
    wrong: 'wants to repeat what was refused',
    of: 'Slack webhook',
    check: 'a message that is refused for good is not retriable',
    twist: (sink) => ({
      deliver: changed(
        sink,
        (error) => new CurfewError('SINK_UNREACHABLE', error.message, { retriable: true }),
      ),
    }),
  },
  {
    wrong: 'follows redirects',
    of: 'signed webhook',
    check: 'redirects are not followed',
    twist: (_sink, { http }) => ({ deliver: (message) => plainPost(http.url, message) }),
  },
  {
    wrong: 'reads whatever comes',
    of: 'signed webhook',
    check: 'an endless answer is not read to the end',
    twist: (_sink, { http }) => ({
      deliver: async () => {
        const response = await fetch(http.url, { method: 'POST', body: '{}' })
        let size = 0
        for await (const chunk of response.body ?? []) {
          size += chunk.length
          if (size > 9_000_000) break
        }
        return null
      },
    }),
  },
  {
    wrong: 'sends log text as it came',
    of: 'signed webhook',
    check: 'log text arrives as inert text',
    twist: (_sink, { http }) => ({
      deliver: async (message) => {
        await fetch(http.url, { method: 'POST', body: JSON.stringify(message) })
        return null
      },
    }),
  },
  {
    wrong: 'sends a message per alert of a storm',
    of: 'Slack webhook',
    check: 'a storm is one message that says how many',
    twist: (sink) => ({
      deliverDigest: async (digest, stop) => {
        for (const alert of digest.alerts.slice(0, 3)) await sink.deliver(alertMessage({ alert }), null, stop)
      },
    }),
  },
  {
    wrong: 'does not say how many alerts were only counted',
    of: 'Slack bot',
    check: 'a storm is one message that says how many',
    twist: (sink) => ({
      deliverDigest: (digest, stop) => sink.deliverDigest({ ...digest, omitted: 0 }, stop),
    }),
  },
  {
    wrong: 'sends a digest as it came',
    of: 'signed webhook',
    check: 'a digest is as inert as a message',
    twist: (_sink, { http }) => ({
      deliverDigest: async (digest) => {
        await fetch(http.url, { method: 'POST', body: JSON.stringify(digest) })
      },
    }),
  },
  {
    wrong: 'quotes its address in errors',
    of: 'Slack webhook',
    check: 'errors tell no secret',
    twist: (sink, { secrets }) => ({
      deliver: changed(sink, (error) => new CurfewError(error.code, `${error.message} at ${secrets[0]}`)),
    }),
  },
]

function changed(sink: AlertSink, change: (error: CurfewError) => CurfewError): Deliver {
  return (message, handle, stop) =>
    sink.deliver(message, handle, stop).catch((error: unknown) => {
      throw error instanceof CurfewError ? change(error) : error
    })
}

async function plainPost(url: string, message: AlertMessage): Promise<null> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(message) })
  if (response.status >= 300) throw new CurfewError('SINK_UNREACHABLE', 'no', { retriable: true })
  return null
}

describe('sink contract: wrong twins', () => {
  it.each(WRONG_TWINS)('notices that a $of $wrong', async ({ of, check, twist }) => {
    const make = SINKS[of]
    if (make === undefined) throw new Error(`no sink is called ${of}`)
    const problem = await verdict(async () => {
      const under = await make()
      const { sink } = under
      const twin: AlertSink = {
        name: sink.name,
        deliver: (message, handle, stop) => sink.deliver(message, handle, stop),
        deliverDigest: (digest, stop) => sink.deliverDigest(digest, stop),
        ...twist(sink, under),
      }
      return { ...under, sink: twin }
    }, check)
    expect(problem).not.toBeNull()
  })

  it('has a wrong twin for every check', () => {
    expect(new Set(WRONG_TWINS.map(({ check }) => check))).toEqual(
      new Set(SINK_CHECKS.map(({ name }) => name)),
    )
  })
})
