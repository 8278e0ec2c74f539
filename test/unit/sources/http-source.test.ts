import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import { HttpSource, type HttpSourceOptions } from '../../../ingest/sources/http-source.ts'

const TOKEN = 'token-of-the-kong-source'
const SOURCES = [
  { name: 'edge', format: 'kong', token: TOKEN },
  { name: 'other', format: 'nginx-json', token: 'token-of-the-other-one' },
]

describe('http source', () => {
  let source: HttpSource | null = null
  let port = 0
  const appended: [string, string[]][] = []

  const start = async (options: Partial<HttpSourceOptions> = {}) => {
    appended.length = 0
    source = new HttpSource({
      sources: SOURCES,
      port: 0,
      append: async (name, bodies) => {
        appended.push([name, bodies.map((body) => Buffer.from(body).toString())])
      },
      ...options,
    })
    port = await source.start()
  }
  const post = (body: string | Uint8Array, headers: Record<string, string> = {}, path = '/ingest/kong') =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      body: typeof body === 'string' ? body : new Uint8Array(body),
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    })

  afterEach(async () => {
    await source?.stop()
    source = null
  })

  it('answers 202 with the number of messages once they are durable', async () => {
    await start()
    const response = await post('{"a":1}\n{"a":2}\n')
    expect([response.status, await response.json()]).toEqual([202, { accepted: 2 }])
    expect(appended).toEqual([['edge', ['{"a":1}', '{"a":2}']]])
  })

  it('the token selects the source', async () => {
    await start()
    const headers = { authorization: 'bearer token-of-the-other-one' }
    expect((await post('{}', headers, '/ingest/nginx-json?x=1')).status).toBe(202)
    expect(appended).toEqual([['other', ['{}']]])
  })

  it('takes gzip', async () => {
    await start()
    expect((await post(gzipSync('[{"a":1},{"b":2}]'), { 'content-encoding': 'gzip' })).status).toBe(202)
    expect(appended[0]?.[1]).toEqual(['{"a":1}', '{"b":2}'])
  })

  it.each([
    ['an unknown token', { authorization: 'Bearer nobody' }, '/ingest/kong', 401],
    ['no token', { authorization: '' }, '/ingest/kong', 401],
    ['another format than the token has', {}, '/ingest/nginx-json', 404],
    ['another path', {}, '/', 404],
    ['another encoding', { 'content-encoding': 'br' }, '/ingest/kong', 415],
    ['data that is not gzip', { 'content-encoding': 'gzip' }, '/ingest/kong', 400],
  ])('refuses %s', async (_, headers: Record<string, string>, path, status) => {
    await start()
    const response = await post('{}', headers, path)
    expect(response.status).toBe(status)
    expect(await response.text()).not.toContain(TOKEN)
    expect(appended).toEqual([])
  })

  it('refuses another method', async () => {
    await start()
    const response = await fetch(`http://127.0.0.1:${port}/ingest/kong`)
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
  })

  it('bounds the body, also what gzip makes of it, and the number of lines', async () => {
    await start({ maxBodyBytes: 300_000 })
    expect((await post('x'.repeat(300_001))).status).toBe(413)
    expect((await post(gzipSync('x'.repeat(300_001)), { 'content-encoding': 'gzip' })).status).toBe(413)
    expect((await post('1\n'.repeat(100_001))).status).toBe(413)
    expect((await post('x'.repeat(300_000))).status).toBe(202)
  })

  it('bounds a body that does not state its length', async () => {
    await start({ maxBodyBytes: 1_000 })
    const answer = await raw(
      `POST /ingest/kong HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n${'400\r\n'}${'x'.repeat(1_024)}\r\n`,
    )
    expect(answer).toContain('HTTP/1.1 413')
    expect(answer.toLowerCase()).toContain('connection: close')
  })

  it('gives up on a slow body with 408', async () => {
    await start({ requestTimeoutMs: 300 })
    const answer = await raw(
      `POST /ingest/kong HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 10\r\n\r\nab`,
    )
    expect(answer).toContain('HTTP/1.1 408')
    expect(appended).toEqual([])
  })

  it('answers 503 with Retry-After when storing fails for now, 500 when for good', async () => {
    let failure = new CurfewError('LOG_FULL', 'full', { retriable: true, retryAfterMs: 2_500 })
    await start({ append: () => Promise.reject(failure) })
    const later = await post('{}')
    expect([later.status, later.headers.get('retry-after')]).toEqual([503, '3'])
    failure = new CurfewError('LOG_UNREACHABLE', 'secret path')
    const never = await post('{}')
    expect([never.status, await never.text()]).toEqual([500, '{"error":"cannot store"}'])
  })

  it('answers 503 when too much is under way, and recovers', async () => {
    let release: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    await start({ maxInFlightBytes: 1_000, append: () => gate })
    const first = post('x'.repeat(900))
    let second = await post('x'.repeat(200))
    while (second.status === 202) second = await post('x'.repeat(200))
    expect([second.status, second.headers.get('retry-after')]).toEqual([503, '1'])
    release()
    expect((await first).status).toBe(202)
    expect((await post('x'.repeat(900))).status).toBe(202)
  })

  it('refuses short and shared tokens at start', () => {
    const options = { port: 0, append: async () => undefined }
    expect(
      () => new HttpSource({ ...options, sources: [{ name: 'a', format: 'kong', token: 'short' }] }),
    ).toThrow('fewer')
    const twice = ['a', 'b'].map((name) => ({ name, format: 'kong', token: TOKEN }))
    expect(() => new HttpSource({ ...options, sources: twice })).toThrow('same token')
  })

  /** Sends bytes as they are and returns all that comes back. */
  function raw(text: string): Promise<string> {
    return new Promise((resolve) => {
      let answer = ''
      const socket = connect(port, '127.0.0.1', () => socket.write(text))
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString()
      })
      socket.on('error', () => undefined)
      socket.on('close', () => resolve(answer))
    })
  }
})
