import { describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import {
  busy,
  isBusy,
  jsonIn,
  quoted,
  type Reply,
  replyTo,
} from '../../../enforcement/gateways/control-plane-call.ts'

const never = new AbortController().signal

function asked(send: (signal: AbortSignal) => Promise<Response>, stop = never): Promise<Reply> {
  return replyTo({ name: 'edge', from: 'Kong to GET /x', timeoutMs: 50, maxBytes: 8, send }, stop)
}

/** What a fetch does that nobody answers. */
const hanging = (signal: AbortSignal) =>
  new Promise<Response>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

describe('a call to a control plane', () => {
  it('gives the answer, whatever its status', async () => {
    const reply = await asked(async () => new Response('12345678', { status: 418, headers: { a: 'b' } }))
    expect([reply.status, reply.text, reply.headers.get('a')]).toEqual([418, '12345678', 'b'])
  })

  it('is not made once it is stopped, and ends when it is', async () => {
    let calls = 0
    const counted = (signal: AbortSignal) => {
      calls++
      return hanging(signal)
    }
    const gone = { code: 'ABORTED', message: 'edge: aborted' }
    await expect(asked(counted, AbortSignal.abort())).rejects.toMatchObject(gone)
    expect(calls).toBe(0)
    const stop = new AbortController()
    const running = asked(counted, stop.signal)
    stop.abort()
    await expect(running).rejects.toMatchObject(gone)
    expect(calls).toBe(1)
  })

  it.each([
    ['time', hanging, 'no answer within 50 ms from Kong to GET /x'],
    ['bounds', async () => new Response('123456789'), 'no answer from Kong to GET /x'],
    ['reach', () => Promise.reject(new TypeError('fetch failed')), 'no answer from Kong to GET /x'],
  ])('out of %s is worth another try', async (_, send, words) => {
    const error = { code: 'GATEWAY_UNREACHABLE', retriable: true, message: `edge: ${words}` }
    await expect(asked(send)).rejects.toMatchObject(error)
  })

  it('passes on what the sender itself has to say', async () => {
    const own = new CurfewError('GATEWAY_REFUSED', 'no token')
    await expect(asked(() => Promise.reject(own))).rejects.toBe(own)
  })
})

describe('an answer that asks for another try', () => {
  it.each([
    [428, false],
    [429, true],
    [499, false],
    [500, true],
    [503, true],
  ])('status %i: %s', (status, is) => {
    expect(isBusy(status)).toBe(is)
  })

  it.each([
    ['7', 7_000],
    ['0', 0],
    ['86400', 3_600_000],
    ['-1', undefined],
    ['soon', undefined],
    [null, undefined],
  ])('retry-after %s waits %s ms', (value, waitMs) => {
    const headers = new Headers(value === null ? {} : { 'retry-after': value })
    const error = busy('edge: it answered 429', { status: 429, text: '', headers })
    expect(error).toMatchObject({ code: 'GATEWAY_UNREACHABLE', retriable: true })
    expect(error.retryAfterMs).toBe(waitMs)
  })
})

it('tells somebody else’s words cut and escaped, and of none that there are none', () => {
  expect(quoted('a "b"\nc', 5)).toBe('"a \\"b\\""')
  for (const none of ['', null, undefined, 7, {}]) expect(quoted(none, 5)).toBe('no reason given')
  expect(jsonIn('{"a":1}')).toEqual({ a: 1 })
  expect(jsonIn('<html>')).toBeUndefined()
})
