import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { type DecisionEndpoint, startDecisionEndpoint } from '../../../enforcement/decision-endpoint.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { freePort } from '../../services/free-port.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../../..')
const installed = await run('luajit', ['-v']).then(
  () => true,
  () => false,
)
if (!installed) console.warn('SKIPPED: luajit is not installed')

const never = new AbortController().signal
const NOW = wallTime(1_780_000_000_000)
const secret = new TextEncoder().encode('s'.repeat(32))
const ISSUER = 'https://id.example'

interface Call {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly query?: Readonly<Record<string, string | readonly string[] | true>>
  readonly vars?: Readonly<Record<string, string>>
  readonly settings?: Readonly<Record<string, string>>
  readonly sandboxAllows?: boolean
}

/** Text of any bytes as a Lua literal. */
function lua(value: unknown): string {
  if (typeof value === 'string')
    return `"${[...Buffer.from(value)].map((byte) => `\\${String(byte).padStart(3, '0')}`).join('')}"`
  if (Array.isArray(value)) return `{${value.map(lua).join(',')}}`
  if (typeof value !== 'object' || value === null) return String(value)
  const fields = Object.entries(value).map(([name, field]) => `[${lua(name)}]=${lua(field)}`)
  return `{${fields.join(',')}}`
}

describe.skipIf(!installed)('the snippet for Kong, in a real LuaJIT beside a real decision endpoint', () => {
  let folder: string
  let endpoint: DecisionEndpoint
  let denyList: DenyList
  let calls = 0

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-lua-'))
    const clock = { now: () => NOW }
    denyList = new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
    await denyList.refresh(never)
    const rule = { id: 'dec_1', limit: null, until: wallTime(NOW + 60_000) }
    await denyList.put(
      { ...rule, action: 'revoke-token', scope: { kind: 'token', iss: ISSUER, jti: 'stolen' } },
      never,
    )
    endpoint = await startDecisionEndpoint({
      denyList,
      clock,
      port: await freePort(),
      issuers: [],
      requireIdentity: false,
      trustHeaders: null,
      apiKeyHeader: null,
      failMode: 'open',
      maxStaleMs: 60_000,
    })
  })
  afterAll(async () => {
    await endpoint?.close()
    await rm(folder, { recursive: true, force: true })
  })

  const token = (jti: string) =>
    new SignJWT({ iss: ISSUER, sub: 'alice', jti, exp: NOW / 1_000 + 600 })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(secret)

  async function call(asked: Call): Promise<string> {
    const { settings, sandboxAllows = true, ...request } = asked
    const file = join(folder, `request-${calls++}.lua`)
    const decide = `"${endpoint.url}/decide"`
    const told = { ...request, sandbox_allows: sandboxAllows, settings: { DECIDE: decide, ...settings } }
    await writeFile(file, `return ${lua(told)}`)
    const snippet = join(ROOT, 'samples/kong/curfew-decision.lua')
    const { stdout } = await run('luajit', [join(ROOT, 'test/services/kong-pdk.lua'), snippet, file, folder])
    return stdout
  }

  it('lets a good token pass and refuses a revoked one, with the decision that says so', async () => {
    expect(await call({ headers: { Authorization: `Bearer ${await token('good')}` } })).toMatch(
      /^pass\ncalls: 1/,
    )
    const refused = await call({ headers: { authorization: `Bearer ${await token('stolen')}` } })
    expect(refused).toMatch(/^401\n/)
    expect(refused).toContain('x-curfew-decision: dec_1')
    expect(refused).toContain('www-authenticate: Bearer')
  })

  it('asks nothing about a call without a token', async () => {
    expect(await call({ headers: { authorization: 'Basic YTpi' } })).toBe('pass\ncalls: 0\n')
    expect(await call({})).toBe('pass\ncalls: 0\n')
  })

  it.each([
    ['in the query', (text: string): Call => ({ query: { jwt: text } })],
    [
      'in a cookie',
      (text: string): Call => ({ vars: { cookie_session: text }, settings: { COOKIES: '{ "session" }' } }),
    ],
    ['in lower case', (text: string): Call => ({ headers: { authorization: `bearer   ${text}` } })],
    [
      'in another header',
      (text: string): Call => ({
        headers: { 'x-token': `Bearer ${text}` },
        settings: { HEADERS: '{ "authorization", "x-token" }' },
      }),
    ],
    [
      'beside a good one',
      (text: string): Call => ({ headers: { authorization: 'Bearer abc' }, query: { jwt: text } }),
    ],
  ])('finds a revoked token %s', async (_where, asked) => {
    const answer = await call(asked(await token('stolen')))
    expect(answer).toMatch(/^401\n/)
    expect(answer).toContain('dec_1')
  })

  it.each([
    [
      'a header twice',
      (text: string): Call => ({ headers: { authorization: ['Bearer abc', `Bearer ${text}`] } }),
    ],
    ['a query argument twice', (text: string): Call => ({ query: { jwt: ['abc', text] } })],
    [
      'a scheme before the scheme',
      (text: string): Call => ({ headers: { authorization: `Basic x, Bearer ${text}` } }),
    ],
    ['words after the token', (text: string): Call => ({ headers: { authorization: `Bearer ${text} x` } })],
    ['a line break', (): Call => ({ query: { jwt: 'abc\r\nX-Consumer-ID: admin' } })],
    ['a quote', (): Call => ({ query: { jwt: 'abc"; os.exit() --' } })],
    ['NUL', (): Call => ({ query: { jwt: 'abc\u0000def' } })],
    ['ten kilobytes', (): Call => ({ query: { jwt: 'x'.repeat(10_240) } })],
  ])('refuses %s without asking', async (_what, asked) => {
    expect(await call(asked(await token('stolen')))).toMatch(/^401\n[\s\S]*calls: 0\n/)
  })

  it.each([
    ['open', 'pass'],
    ['closed', '503'],
  ])('fails %s where nobody answers', async (mode, outcome) => {
    const settings = { DECIDE: `"http://127.0.0.1:${await freePort()}/decide"`, FAIL_MODE: `"${mode}"` }
    const headers = { authorization: `Bearer ${await token('stolen')}` }
    const alone = await call({ headers, settings })
    expect(alone.split('\n')[0]).toBe(outcome)
    expect(alone).toContain("log: Curfew's decision endpoint")
    const denied = await call({ headers, sandboxAllows: false, settings: { FAIL_MODE: `"${mode}"` } })
    expect(denied.split('\n')[0]).toBe(outcome)
    expect(denied).toContain('untrusted_lua_sandbox_requires')
  })
})
