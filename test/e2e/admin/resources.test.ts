import type { TSchema } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DecisionSchema, IncidentSchema, PrincipalSchema, pageOf } from '../../../admin/schemas.ts'
import {
  ChangedSettings,
  HistorySchema,
  PreviewAnswer,
  SettingsSchema,
} from '../../../admin/settings-schemas.ts'
import type { EngineSettings } from '../../../engine/settings.ts'
import { NIGHT } from '../../contracts/admin/sample-state.ts'
import { type Answer, type RunningServer, runServer } from './running-server.ts'

let running: RunningServer
beforeEach(async () => {
  running = await runServer()
})
afterEach(() => running.server.close())

const viewer = (path: string) => running.call({ path, role: 'viewer' })
const inDays = (days: number) => new Date(NIGHT + days * 86_400_000).toISOString()

function expectShape(answer: Answer, schema: TSchema): void {
  expect(answer.status).toBe(200)
  const ajv = new Ajv({ strict: false, allErrors: true })
  expect(ajv.validate(schema, answer.json), ajv.errorsText()).toBe(true)
}

describe('looking things up', () => {
  it('answers in the shape that the schemas promise', async () => {
    expectShape(await viewer('/v1/incidents'), pageOf(IncidentSchema))
    expectShape(await viewer('/v1/incidents/inc_1'), IncidentSchema)
    expectShape(await viewer('/v1/decisions'), pageOf(DecisionSchema))
    expectShape(await viewer('/v1/decisions/dec_2'), DecisionSchema)
    expectShape(await viewer('/v1/principals'), pageOf(PrincipalSchema))
    expectShape(await viewer('/v1/principals/default/consumer%3Aorders-svc'), PrincipalSchema)
    expectShape(await viewer('/v1/settings'), SettingsSchema)
    expectShape(await viewer('/v1/settings/history'), HistorySchema)
  })

  it('filters, pages and finds names with any characters in them', async () => {
    const open = (await viewer('/v1/incidents?state=open')).json as { items: { id: string }[] }
    expect(open.items.map((i) => i.id)).toEqual(['inc_1', 'inc_2'])
    const first = (await viewer('/v1/principals?limit=3')).json as { items: object[]; nextCursor: string }
    expect(first.items).toHaveLength(3)
    const next = await viewer(`/v1/principals?limit=3&cursor=${encodeURIComponent(first.nextCursor)}`)
    expect(next.json).toMatchObject({ items: { length: 3 } })
    const hostile = encodeURIComponent('consumer:<img src=x onerror=alert(1)>gnp')
    expect((await viewer(`/v1/principals/default/${hostile}`)).status).toBe(404)
    expect((await viewer('/v1/principals/default/sub%3Aalias%2Falice')).status).toBe(404)
  })

  it('names the parameter and the value that it refuses', async () => {
    const limit = await viewer('/v1/incidents?limit=501')
    expect(limit.json).toEqual({
      error: { code: 'invalid', message: 'limit must be <= 500 (got "501")', field: 'limit' },
    })
    const unknown = await viewer('/v1/incidents?sate=open')
    expect(unknown.json).toMatchObject({
      error: { field: 'sate', message: expect.stringContaining('"open"') },
    })
    const state = await viewer('/v1/incidents?state=broken%00')
    expect(state.json).toMatchObject({
      error: { field: 'state', message: expect.stringContaining('open, resolved') },
    })
    expect(state.text).toContain('broken\\\\u0000')
  })

  it('reports liveness, readiness and metrics', async () => {
    expect((await running.call({ path: '/healthz' })).json).toEqual({ status: 'alive' })
    expect((await running.call({ path: '/readyz' })).json).toEqual({
      ready: true,
      checks: [{ name: 'store', ok: true }],
    })
    running.plane.checks = [{ name: 'store', ok: false, detail: '10.0.0.5 refused' }]
    const down = await running.call({ path: '/readyz' })
    expect(down.status).toBe(503)
    expect(down.text).not.toContain('10.0.0.5')
    expect((await viewer('/v1/status')).text).toContain('10.0.0.5')
    expect((await viewer('/metrics')).text).toBe('curfew_up 1\n')
    const open = await runServer({ openMetrics: true })
    expect((await open.call({ path: '/metrics' })).status).toBe(200)
    await open.server.close()
  })
})

describe('acting on incidents and decisions', () => {
  const post = (path: string, body: unknown, role: 'responder' | 'tuner' = 'responder') =>
    running.call({ method: 'POST', path, role, body })

  it('releases, extends and approves with a reason that the audit keeps', async () => {
    expect(
      (await post('/v1/decisions/dec_2/extend', { holdSeconds: 7_200, reason: 'still looking' })).status,
    ).toBe(200)
    expect((await post('/v1/decisions/dec_3/approve', { reason: 'it is an attack' })).json).toMatchObject({
      status: 'pending',
    })
    expect((await post('/v1/decisions/dec_2/release', { reason: 'planned' })).json).toMatchObject({
      status: 'released',
    })
    expect((await post('/v1/decisions/dec_2/release', { reason: 'again' })).status).toBe(409)
    expect((await post('/v1/decisions/none/release', { reason: 'planned' })).status).toBe(404)
    const audit = await running.call({ path: '/v1/audit', role: 'responder' })
    expect(audit.json).toMatchObject({
      nextAfter: 3,
      items: [{ reason: 'still looking', actor: 'a-responder' }, {}, {}],
    })
  })

  it('refuses changes without a reason, with unknown fields or out of bounds', async () => {
    const path = '/v1/decisions/dec_2/extend'
    const bodies = [
      { holdSeconds: 600 },
      { holdSeconds: 600, reason: '' },
      { holdSeconds: 600, reason: '   ' },
      { holdSeconds: 600, reason: 'a\nb' },
      { holdSeconds: 600, reason: 'planned\u202e' },
      { holdSeconds: 604_801, reason: 'planned' },
      { holdSeconds: '600', reason: 'planned' },
      { holdSeconds: 600, reason: 'planned', force: true },
      [],
      null,
    ]
    for (const body of bodies) expect((await post(path, body)).status, JSON.stringify(body)).toBe(400)
    const unknown = await post(path, { holdSeconds: 600, reason: 'planned', force: 'yes' })
    expect(unknown.json).toMatchObject({
      error: { field: 'force', message: expect.stringContaining('"yes"') },
    })
  })

  it('lets a responder dismiss, and only a tuner teach', async () => {
    const path = '/v1/incidents/inc_1/close'
    const refused = await post(path, { verdict: 'accept', reason: 'migration' })
    expect(refused.status).toBe(403)
    expect((await post(path, { verdict: 'dismiss', reason: 'a test' })).json).toMatchObject({
      state: 'resolved',
    })
    expect((await running.plane.decision('dec_2'))?.status).toBe('released')
    const taught = await post(
      '/v1/incidents/inc_2/close',
      { verdict: 'accept', reason: 'migration' },
      'tuner',
    )
    expect(taught.status).toBe(200)
  })
})

describe('changing settings', () => {
  type Wanted = Omit<EngineSettings, 'version'>
  const wanted = async (change: (s: Wanted) => Wanted): Promise<Wanted> => {
    const { version: _, ...rest } = await running.plane.settings()
    return change(rest)
  }
  const value = (name: string, to: number) => wanted((s) => ({ ...s, values: { ...s.values, [name]: to } }))
  const put = (settings: Wanted, more: object, role: 'responder' | 'tuner' = 'tuner') =>
    running.call({
      method: 'PUT',
      path: '/v1/settings',
      role,
      body: { settings, expectedVersion: 1, reason: 'a planned migration', ...more },
    })

  it('takes a tightening from a responder and says so', async () => {
    const answer = await put(await value('throttleSurprise', 5), {}, 'responder')
    expectShape(answer, ChangedSettings)
    expect(answer.headers.etag).toBe('"2"')
    expect(answer.json).toMatchObject({
      settings: { version: 2 },
      change: { change: 'tighten', fields: [{ field: 'values.throttleSurprise', from: 6, to: 5 }] },
    })
  })

  it('asks a tuner, a real reason and an end within 90 days of a loosening', async () => {
    const looser = await value('throttleSurprise', 9)
    expect((await put(looser, { expires: inDays(7) }, 'responder')).status).toBe(403)
    expect((await put(looser, {})).json).toMatchObject({ error: { field: 'expires' } })
    expect((await put(looser, { expires: inDays(91) })).json).toMatchObject({ error: { field: 'expires' } })
    expect((await put(looser, { expires: inDays(-1) })).json).toMatchObject({ error: { field: 'expires' } })
    expect((await put(looser, { expires: '2026-02-31T99:00:00Z' })).json).toMatchObject({
      error: { field: 'expires' },
    })
    expect((await put(looser, { expires: inDays(7), reason: 'because' })).json).toMatchObject({
      error: { field: 'reason' },
    })
    expect((await running.plane.settings()).version).toBe(1)
    expect((await put(looser, { expires: inDays(7) })).json).toMatchObject({ change: { change: 'loosen' } })
    expect((await running.plane.settingsHistory(1))[0]?.expires).toBe(inDays(7))
  })

  it('wants the version that the change was made against', async () => {
    const settings = await value('throttleSurprise', 5)
    const call = (headers: Record<string, string>, body: object) =>
      running.call({
        method: 'PUT',
        path: '/v1/settings',
        role: 'tuner',
        headers,
        body: { settings, reason: 'tighter', ...body },
      })
    expect((await call({}, {})).status).toBe(400)
    expect((await call({ 'if-match': '*' }, {})).status).toBe(400)
    expect((await call({ 'if-match': '"1"' }, { expectedVersion: 2 })).status).toBe(400)
    expect((await call({ 'if-match': '"7"' }, {})).status).toBe(409)
    expect((await call({ 'if-match': '"1"' }, {})).status).toBe(200)
    expect((await call({ 'if-match': '"1"' }, {})).status).toBe(409)
  })

  it('holds exceptions to 90 days and keeps those of the configuration file', async () => {
    const entry = { tenant: 'default', entity: 'consumer:etl', reason: 'quarterly reload' }
    const withEntry = (expires: string | null) =>
      wanted((s) => ({ ...s, allow: [...s.allow, { ...entry, expires }] }))
    for (const expires of [null, inDays(91), inDays(-1)]) {
      const answer = await put(await withEntry(expires), { expires: inDays(7) })
      expect(answer.json).toMatchObject({ error: { field: 'settings.allow.1.expires' } })
    }
    const taken = await put(await withEntry(inDays(30)), { expires: inDays(30) })
    expect(taken.json).toMatchObject({
      change: { change: 'loosen', fields: [{ field: 'allow[default/consumer:etl]' }] },
    })
  })

  it('previews without changing anything', async () => {
    const body = { settings: await value('minIncidentSurprise', 5) }
    const answer = await running.call({ method: 'POST', path: '/v1/settings/preview', role: 'viewer', body })
    expectShape(answer, PreviewAnswer)
    expect(answer.json).toMatchObject({
      change: { change: 'loosen' },
      needs: { role: 'tuner', expires: true },
      wouldHide: { incidents: [{ id: 'inc_2', why: 'would not have opened' }], looked: 3, notJudged: [] },
    })
    expect((await running.plane.settings()).version).toBe(1)
  })

  it('reverts under a new number and treats a loosening revert as a loosening', async () => {
    await put(await value('throttleSurprise', 5), {})
    const revert = (body: object, role: 'responder' | 'tuner' = 'tuner') =>
      running.call({
        method: 'POST',
        path: '/v1/settings/revert',
        role,
        body: { version: 1, reason: 'it was too eager', ...body },
      })
    expect((await revert({ expires: inDays(1) }, 'responder')).status).toBe(403)
    expect((await revert({})).status).toBe(400)
    expect((await revert({ version: 99, expires: inDays(1) })).status).toBe(404)
    const done = await revert({ expires: inDays(1) })
    expect(done.json).toMatchObject({
      settings: { version: 3, values: { throttleSurprise: 6 } },
      change: { change: 'loosen' },
    })
  })
})

describe('reading the audit', () => {
  it('lists from the start, from the end, and exports every line', async () => {
    const actor = { name: 'a', role: 'admin' } as const
    for (let i = 0; i < 1_003; i++) await running.plane.extendDecision('dec_2', 600, actor, `round ${i}`)
    const last = await running.call({ path: '/v1/audit/last?limit=2', role: 'responder' })
    expect((last.json as { items: { seq: number }[] }).items.map((e) => e.seq)).toEqual([1_003, 1_002])
    const exported = await running.call({ path: '/v1/audit/export?after=1', role: 'admin' })
    expect(exported.headers['content-type']).toBe('application/x-ndjson')
    const seqs = exported.text
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { seq: number }).seq)
    expect(seqs).toHaveLength(1_002)
    expect(seqs.at(-1)).toBe(1_003)
  })
})

describe('the description of the API', () => {
  it('is OpenAPI 3.1 and the same as docs/reference/admin-api.json (update with vitest -u)', async () => {
    const served = (await viewer('/openapi.json')).json as { openapi: string }
    expect(served.openapi).toBe('3.1.0')
    const text = `${JSON.stringify(served, null, 2)}\n`
    await expect(text).toMatchFileSnapshot('../../../docs/reference/admin-api.json')
  })
})
