import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ARCHETYPES } from '../../../../bench/traffic/archetypes.ts'
import { ATTACK_TYPES } from '../../../../bench/traffic/attacks.ts'
import { END, JUDGE_FROM, START } from '../../../../bench/traffic/calendar.ts'
import { LOOKALIKE_TYPES } from '../../../../bench/traffic/lookalikes.ts'
import { linesOf, ReplayFolder } from '../../replay/replay-command.ts'
import { type Made, made, sha256, TEST_PLAN } from './small-world.ts'

// A world of some ten thousand calls is made several times, on machines that are shared.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const CONFIG = `
sources:
  - name: log
    kind: file
    format: kong
    tenantField: workspace_name
    gateway: { kind: kong, id: edge }
    paths: [/var/log/access.ndjson]
`

interface Line {
  readonly started_at: number
  readonly request: { readonly id: string }
  readonly latencies: { readonly request: number }
  readonly workspace_name: string
}

/** The first 32 digits after the marker: a parse per line would take longer than all the rest. */
const idOf = (line: string) => line.substr(line.indexOf('"x-kong-request-id":"') + 21, 32)
const parsed = (line: string) => JSON.parse(line) as Line

let world: Made
let folder: ReplayFolder
beforeAll(() => {
  world = made(1)
  folder = new ReplayFolder()
})
afterAll(() => folder.close())

describe('generated traffic', () => {
  it('is the same bytes for the same seed, and other bytes for another', () => {
    const again = made(1)
    expect(sha256(again.lines)).toBe(sha256(world.lines))
    expect(again.labelText).toBe(world.labelText)
    const other = made(2)
    expect(sha256(other.lines)).not.toBe(sha256(world.lines))
    expect(other.labels.header.seed).toBe(2)
  })

  it('is read by the Kong format without a reject, under the names and tenants of the labels', async () => {
    const some = world.lines.filter((_, i) => i % 12 === 0)
    const file = folder.file('kong.ndjson', `${some.join('\n')}\n`)
    const config = folder.file('curfew.yaml', CONFIG)
    const { code, err, summary, outputs } = await folder.replay(['--config', config, file])
    expect(code, err).toBe(0)
    expect(outputs.rejected).toBe('')
    expect(summary).toMatchObject({ events: some.length, rejected: 0, duplicates: 0 })
    const named = new Set(world.labels.principals.map((p) => `${p.tenant} ${p.id}`))
    const scored = new Set(
      linesOf(outputs.scores).map(({ tenant, entity }) => `${tenant} ${(entity as { id: string }).id}`),
    )
    expect(scored.size).toBeGreaterThan(100)
    expect([...scored].filter((name) => !named.has(name))).toEqual([])
  })

  it('comes in order of completion, within four weeks, under ids of its own', () => {
    const lines = world.lines.map(parsed)
    const times = lines.map((l) => l.started_at + l.latencies.request)
    expect(times.findIndex((time, i) => i > 0 && time < times[i - 1]!)).toBe(-1)
    expect(times[0]).toBeGreaterThanOrEqual(START)
    expect(times.at(-1)).toBeLessThan(END)
    expect(new Set(lines.map((l) => l.request.id)).size).toBe(lines.length)
  })

  it('labels each attack event once, within its episode and among its victims', () => {
    const { labels } = world
    const byId = new Map(labels.episodes.map((e) => [e.id, e]))
    const seen = new Set<string>()
    const wrong: string[] = []
    world.lines.forEach((line, i) => {
      const id = idOf(line)
      const episodeId = labels.episodeOf.get(id) ?? null
      const call = world.calls[i]!
      const meant = call.episode < 0 ? null : world.traffic.book.episodes[call.episode]!
      if (episodeId !== (meant === null || meant.kind === 'lookalike' ? null : meant.id)) wrong.push(id)
      if (episodeId === null) return
      if (seen.has(id)) wrong.push(id)
      seen.add(id)
      const episode = byId.get(episodeId)!
      if (call.time < episode.from || call.time > episode.to) wrong.push(id)
      if (call.principal < 0) return
      const victim = `consumer:${world.traffic.world.principals[call.principal]!.is.username}`
      if (!episode.entities.some((e) => e.id === victim)) wrong.push(id)
    })
    expect(wrong).toEqual([])
    expect(seen.size).toBe(labels.episodeOf.size)
  })

  it('does harm in the judged period only, and is paired outside of the attack', () => {
    const byId = new Map(world.labels.episodes.map((e) => [e.id, e]))
    for (const e of world.labels.episodes) {
      if (e.kind === 'attack') expect(e.harmFrom).toBeGreaterThanOrEqual(JUDGE_FROM)
      if (e.kind !== 'pair') continue
      const attack = byId.get(e.of!)!
      expect(attack.kind).toBe('attack')
      expect(e.events).toBeLessThanOrEqual(attack.events * 1.2 + 5)
      expect(e.entities).toEqual(attack.entities)
    }
  })

  it('has every archetype, attack and look-alike', () => {
    const { principals, episodes } = world.labels
    const kinds = (kind: string) => new Set(episodes.filter((e) => e.kind === kind).map((e) => e.type))
    const archetypes = new Set(principals.map((p) => p.archetype))
    for (const name of [...Object.keys(ARCHETYPES), 'address']) expect(archetypes).toContain(name)
    expect([...kinds('attack')].sort()).toEqual([...ATTACK_TYPES].sort())
    expect([...kinds('lookalike')].sort()).toEqual([...LOOKALIKE_TYPES].sort())
    expect(kinds('noise')).toContain('sybil-theft')
    expect(principals.some((p) => p.allowListed)).toBe(true)
  })

  it('keeps the stated proportions', () => {
    const { episodes, header } = world.labels
    const attacks = episodes.filter((e) => e.kind === 'attack')
    const lookalikes = episodes.filter((e) => e.kind === 'lookalike')
    expect(attacks.length).toBe(TEST_PLAN.attacks)
    expect(lookalikes.length).toBeGreaterThanOrEqual(3 * attacks.length)
    expect(header.heldOutAttacks).toHaveLength(2)
    expect(header.heldOutLookalikes).toHaveLength(2)
    for (const e of [...attacks, ...lookalikes]) {
      const held = e.kind === 'attack' ? header.heldOutAttacks : header.heldOutLookalikes
      expect(e.heldOut).toBe(held.includes(e.type))
    }
    const share = (of: (status: number) => boolean) =>
      world.calls.filter((c) => of(c.status)).length / world.calls.length
    expect(share((s) => s >= 400 && s < 500)).toBeGreaterThan(0.01)
    expect(share((s) => s >= 400 && s < 500)).toBeLessThan(0.06)
    expect(share((s) => s >= 500)).toBeGreaterThan(0.0003)
    const total = world.labels.principals.reduce((sum, p) => sum + p.events, 0)
    expect(total).toBe(world.lines.length)
  })
})

describe('transport faults', () => {
  it('leave events and labels as they are, and delay, repeat and break what carries them', () => {
    const faulty = made(1, true)
    const ids = (of: Made) => of.labels.principals.map((p) => `${p.tenant} ${p.id} ${p.events}`)
    expect(ids(faulty)).toEqual(ids(world))
    expect([...faulty.labels.episodeOf]).toEqual([...world.labels.episodeOf])
    const times = new Map<string, number>()
    let late = 0
    let repeated = 0
    let broken = 0
    let newest = 0
    for (const line of faulty.lines) {
      if (!line.startsWith('{"response"') || !line.endsWith('}')) {
        broken++
        continue
      }
      const { request, started_at } = parsed(line)
      if (times.has(request.id)) repeated++
      times.set(request.id, started_at)
      if (started_at < newest - 2 * 90_000) late++
      newest = Math.max(newest, started_at)
    }
    expect(times.size).toBe(world.lines.length)
    const share = (n: number) => n / world.lines.length
    expect(share(repeated)).toBeGreaterThan(0.0006)
    expect(share(repeated)).toBeLessThan(0.0014)
    expect(share(late)).toBeGreaterThan(0.001)
    expect(share(late)).toBeLessThan(0.008)
    expect(broken).toBeGreaterThan(0)
    const shifted = world.lines.filter((line, i) => {
      const { time, latency } = world.calls[i]!
      return times.get(idOf(line)) === time - latency + 90_000
    }).length
    expect(share(shifted)).toBeGreaterThan(0.12)
    expect(share(shifted)).toBeLessThan(0.21)
  })
})

describe('a light world', () => {
  it('has no attack and few calls per day', () => {
    const light = made(3, false, {
      tenants: [{ name: 'northwind', principals: 150, machines: 1 }],
      attacks: 0,
      light: true,
      freshKeys: 0,
    })
    expect(light.labels.episodes.every((e) => e.kind === 'lookalike')).toBe(true)
    expect(light.lines.length).toBeLessThan(150 * 400)
  })
})
