import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { DECISIONS_MAP } from '../../../cli/build-enforcement.ts'
import { incidentText, recombined } from '../../../cli/explanation.ts'
import { decisionLedger } from '../../../cli/ledgers.ts'
import { SharedMap } from '../../../cli/shared-map.ts'
import { combine } from '../../../engine/combine.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import { alertSample, incidentSample } from '../../contracts/admin/sample-state.ts'
import { runCommand } from '../../services/command-run.ts'
import { partitionWorker } from '../../services/partition-worker.ts'

const NOW = Date.parse('2026-11-23T03:04:00.000Z')
const TOKEN = 'a-token-for-the-tests-only'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-explain-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function configuration(port: number): Promise<string> {
  const path = join(folder, 'curfew.yaml')
  const admin = `admin:\n  listen: 127.0.0.1:${port}\n  tokens:\n    - { name: operations, role: admin, tokenEnv: CURFEW_TOKEN }\n`
  await writeFile(path, `store:\n  kind: embedded\n  folder: ${join(folder, 'state')}\n${admin}`)
  return path
}

const explain = async (id: string, port = 8740, ...flags: string[]) =>
  runCommand(['explain', '--config', await configuration(port), ...flags, id], NOW, { CURFEW_TOKEN: TOKEN })

/** A store with the night in it, left as a stopped Curfew leaves it. */
async function nightInStore() {
  const store = await openEmbeddedStore({ folder: join(folder, 'state') })
  const settings = { version: 1, values: DEFAULT_SETTINGS, modes: [], allow: [] }
  const worker = await partitionWorker({
    store,
    partition: 0,
    identityKey: new Uint8Array(8),
    now: NOW,
    settings,
  })
  const night = await worker.night()
  await worker.close()
  const decisions = await SharedMap.open(store, DECISIONS_MAP)
  const rest = {
    statusReason: null,
    issuedAt: NOW,
    until: NOW + 60_000,
    approved: false,
    startedAt: [],
    receipts: [],
  }
  await decisionLedger(decisions).save({ ...rest, decision: night.inForce, status: 'in-force' })
  return { store, night }
}

describe('curfew explain', () => {
  it('explains an incident and its decisions from the store', async () => {
    const { store, night } = await nightInStore()
    await store.close()
    const { code, out } = await explain(night.openIncident)
    expect(code).toBe(0)
    expect(out).toContain(`${night.openIncident}  open, severity`)
    expect(out).toContain('about consumer:orders-svc of tenant default')
    expect(out).toContain('combined again from its parts: 9.4, the same')
    expect(out).toContain(`${night.inForce.id}  throttle of consumer:orders-svc`)
    expect(out).toContain(`POST /v1/incidents/${night.openIncident}/close`)
  })

  it('explains a decision with its incident, as JSON too', async () => {
    const { store, night } = await nightInStore()
    await store.close()
    const text = await explain(night.inForce.id)
    expect(text.out.indexOf(night.inForce.id)).toBe(0)
    // As a gateway names the rule of another name of the caller.
    expect((await explain(`${night.inForce.id}_as_0123456789ab`)).out).toBe(text.out)
    const { code, out } = await explain(night.inForce.id, 8740, '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      decision: { status: 'in-force' },
      incident: { id: night.openIncident, entity: 'consumer:orders-svc' },
      recombined: { combined: 9.4, agrees: true },
    })
  })

  it('1 for what is not there', async () => {
    const { store } = await nightInStore()
    await store.close()
    for (const id of ['inc_00000000000000000000', 'dec_00000000000000000000', 'x\u001b[2J']) {
      const { code, out, err } = await explain(id)
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).toContain('there is no incident or decision "')
      expect(err).not.toContain('\u001b')
    }
  })

  it('asks the running Curfew that has the store', async () => {
    const { store } = await nightInStore()
    const asked: (string | undefined)[] = []
    const server = createServer((request, response) => {
      asked.push(request.url, request.headers.authorization)
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(incidentSample()))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { code, out } = await explain('inc_1', (server.address() as AddressInfo).port)
    await new Promise((resolve) => server.close(resolve))
    const unanswered = await explain('inc_1', (server.address() as AddressInfo | null)?.port ?? 1)
    await store.close()
    expect(asked).toEqual(['/v1/incidents/inc_1', `Bearer ${TOKEN}`])
    expect(code).toBe(0)
    expect(out).toContain('640 records')
    expect(unanswered).toMatchObject({ code: 2, out: '' })
    expect(unanswered.err).toContain('does not answer')
  })
})

describe('the text of an explanation', () => {
  const parts = [
    { detector: 'volume', surprise: 7.25, weight: 1 },
    { detector: 'off-hours', surprise: 3.5, weight: 0.7 },
    { detector: 'novelty', surprise: 1.125, weight: 0.4 },
  ]

  it('recomputes the surprise from its parts exactly', () => {
    const surprise = combine(parts)!
    expect(recombined(incidentSample({ parts, surprise }))).toEqual({ combined: surprise, agrees: true })
    expect(incidentText(incidentSample({ parts, surprise }))).toContain(
      `combined again from its parts: ${surprise}, the same\n`,
    )
    const changed = incidentSample({ parts: parts.slice(1), surprise })
    expect(incidentText(changed)).toContain('NOT the same')
  })

  it('cannot be made to draw on the terminal by what stands in a log', () => {
    const evil = '\u001b]0;owned\u0007\u202e\nincident resolved'
    const text = incidentText(incidentSample({ entity: evil, transitions: [alertSample({ summary: evil })] }))
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\p{Cf}/u)
    expect(text).not.toContain('\nincident resolved')
  })
})
