import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { AlertRecord } from '../../../core/incident.ts'
import { HOUR_MS } from '../../../core/time.ts'
import type { IncidentView, Page, PrincipalView } from '../../../engine/control-plane.ts'
import { hashEmails } from '../../../ingest/hashed-emails.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { eventually, runCurfew } from '../../services/curfew-process.ts'
import { filesBelow, type PushedCurfew, saidBy, startPushedCurfew } from '../../services/pushed-curfew.ts'
import { plantedLines, SAMPLES } from './planted-logs.ts'
import { type Canary, canary, findings } from './planting.ts'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const FORMATS = ['kong', 'canonical']
const KEY = 'i'.repeat(40)
const CALLER = canary('e-mail', 'the caller')
const HASHED = hashEmails(CALLER.text, new TextEncoder().encode(KEY))
const CALM = 60
const WILD = 300

let compiled: CompiledProgram
let pushed: PushedCurfew
let input: string
const canaries: Canary[] = [CALLER]
const now = Date.now()

/** A caller that its gateway names by an address, spelt as it comes, who then downloads far too much. */
function lifeOfCaller(): string[] {
  const spellings = [CALLER.text, CALLER.text.toUpperCase(), encodeURIComponent(CALLER.text)]
  const line = (time: number, n: number, records: number) => {
    const spelt = spellings[n % spellings.length]!
    return JSON.stringify({
      ...(SAMPLES['canonical']!(time, n) as object),
      id: `life-${n}`,
      principal: { kind: 'consumer', id: spelt, label: spelt, verified: true },
      parents: [`org:${spelt}`],
      records,
      responseBytes: 400 * records,
    })
  }
  return [
    ...Array.from({ length: CALM }, (_, k) => line(now - (140 - 2 * k) * HOUR_MS, k, 2)),
    ...Array.from({ length: WILD }, (_, k) => line(now - 60_000 + k * 150, CALM + k, 60)),
  ]
}

beforeAll(async () => {
  compiled = await compileProgram()
  input = await mkdtemp(join(tmpdir(), 'curfew-emails-'))
  pushed = await startPushedCurfew({
    program: compiled.file('cli/main.ts'),
    formats: FORMATS,
    settings: 'privacy: { emails: hash }',
  })
})
afterAll(async () => {
  await pushed?.close()
  await compiled?.remove()
  await rm(input, { recursive: true, force: true })
})

async function replay(name: string): Promise<{ alerts: AlertRecord[]; output: string }> {
  const file = (kind: string) => join(input, `${name}-${kind}.ndjson`)
  const outputs = ['alerts', 'decisions', 'scores', 'rejected']
  const flags = [
    ...outputs.flatMap((kind) => [`--${kind}`, file(kind)]),
    '--state',
    join(input, `${name}-state`),
  ]
  const { code, stderr } = await runCurfew({
    program: compiled.file('cli/main.ts'),
    args: ['replay', '--config', 'curfew.yaml', '--format', 'canonical', ...flags, join(input, 'log.ndjson')],
    cwd: pushed.folder,
    env: Object.fromEntries(
      ['IDENTITY_KEY', 'ADMIN_TOKEN', 'WEBHOOK_SECRET', 'PUSH_KONG', 'PUSH_CANONICAL'].map((variable) => [
        variable,
        variable === 'WEBHOOK_SECRET'
          ? `whsec_${btoa(KEY)}`
          : variable === 'IDENTITY_KEY'
            ? KEY
            : `${variable}-${KEY}`,
      ]),
    ),
  })
  expect(code, stderr).toBe(0)
  const [alerts = '', ...others] = await Promise.all(outputs.map((kind) => readFile(file(kind), 'utf8')))
  const lines = alerts.split('\n').filter((line) => line !== '')
  return {
    alerts: lines.map((line) => JSON.parse(line) as AlertRecord),
    output: [alerts, ...others].join(''),
  }
}

describe('e-mail addresses, hashed', () => {
  it('are found nowhere, whichever member of a line held them; one caller stays one', async () => {
    const logs: string[] = []
    for (const format of FORMATS) {
      const planted = plantedLines(format, now - 2 * HOUR_MS, ['e-mail'], true)
      canaries.push(...planted.canaries)
      await pushed.push(format, planted.lines)
      if (format === 'canonical') logs.push(...planted.lines)
    }
    const life = lifeOfCaller()
    await pushed.push('canonical', life)
    await writeFile(
      join(input, 'log.ndjson'),
      `${[...life.slice(0, CALM), ...logs, ...life.slice(CALM)].join('\n')}\n`,
    )
    const { curfew, webhook } = pushed
    const profile = await eventually('the whole life to be learnt', async () => {
      const { items } = (await curfew.api(`/v1/principals?search=${HASHED}`)).body as Page<PrincipalView>
      return (items[0]?.events ?? 0) >= CALM + WILD ? items : null
    })
    expect(profile).toHaveLength(1)
    await eventually('its download to be told', async () => {
      const { items } = (await curfew.api(`/v1/incidents?entity=consumer:${HASHED}`))
        .body as Page<IncidentView>
      return items.length > 0 && webhook.webhooks.length > 0 ? true : null
    })
    const places = await Promise.all(
      [
        '/v1/principals?limit=100',
        '/v1/incidents?limit=100',
        '/v1/decisions?limit=100',
        '/v1/coverage',
        '/metrics',
      ].map(async (path) => ({ place: `admin ${path}`, bytes: await pushed.shown(path) })),
    )
    expect(places.some(({ bytes }) => bytes.includes(HASHED))).toBe(true)
    expect(await curfew.end('SIGTERM')).toBe(0)
    places.push(...saidBy(pushed), ...(await filesBelow(pushed.folder)))
    for (const part of ['/state/', '/log/', '/dead-letters/']) {
      const found = places.filter(({ place }) => place.startsWith(part))
      expect(
        found.reduce((sum, { bytes }) => sum + bytes.length, 0),
        part,
      ).toBeGreaterThan(1_000)
    }
    const found = findings(canaries, places)
    console.log(
      `planted ${canaries.length} addresses, searched ${places.length} places: ${found.length} found`,
    )
    expect(found).toEqual([])
  })

  it('have the same hashes in a replay, each time, and are found in none of its outputs', async () => {
    const first = await replay('first')
    const second = await replay('second')
    expect(second.output === first.output).toBe(true)
    expect(first.alerts.map(({ entity }) => entity.id)).toContain(`consumer:${HASHED}`)
    const state = await filesBelow(join(input, 'first-state'))
    expect(state.some(({ bytes }) => bytes.includes(HASHED))).toBe(true)
    expect(findings(canaries, [{ place: 'outputs', bytes: Buffer.from(first.output) }, ...state])).toEqual([])
  })
})
