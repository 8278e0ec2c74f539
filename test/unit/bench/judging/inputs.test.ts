import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { judgeLog } from '../../../../bench/judging/judge-log.ts'
import { judgingOptions } from '../../../../bench/judging/options.ts'
import { seedList } from '../../../../bench/judging/seeds.ts'
import { givenWorld } from '../../../../bench/judging/worlds.ts'
import { kongObject } from '../../ingest/formats/kong-line.ts'
import { episode, HOUR, JUDGE, labels, principal } from './tiny-world.ts'

const CALLS = 200

// A whole engine per budget is built for each log.
vi.setConfig({ testTimeout: 30_000 })

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-judging-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** A log of one caller, a call an hour from a week before the judged period; the last call is an attack. */
function logText(): string {
  const lines = Array.from({ length: CALLS }, (_, i) => {
    const request = { ...(kongObject()['request'] as object), id: `call-${i}` }
    const started_at = JUDGE + (i - 168) * HOUR
    return JSON.stringify(kongObject({ request, started_at, workspace_name: 'acme', last: '-'.repeat(80) }))
  })
  return `${lines.join('\n')}\n`
}

function labelsOf() {
  const attack = episode('a1', 'acme-mobile', [31, 32], { plannedRecords: 0 })
  return labels([principal('acme-mobile', { events: CALLS })], [[attack, [`call-${CALLS - 1}`]]])
}

const judge = (path: string) => judgeLog(path, labelsOf(), 'key', () => undefined)

describe('what is judged', () => {
  it('is a whole log, by the engine and three controls', async () => {
    const path = join(folder, 'kong.ndjson')
    writeFileSync(path, logText())
    const record = await judge(path)
    expect(record.logEvents).toBe(CALLS)
    expect(record.scorers).toEqual(['curfew', 'random', 'hourly-z', 'static-limit'])
    expect(record.attacks[0]!.calls.times).toHaveLength(1)
    expect([...record.settled[3]!.get(0)!].filter((score) => score === 1)).toHaveLength(31)
    expect(record.budgets.map((b) => b.budget)).toEqual([1, 5, 20])
    expect(await judge(path)).toEqual(record)
  })

  it('is never half a log', async () => {
    const path = join(folder, 'kong.ndjson')
    const whole = logText()
    writeFileSync(path, whole.slice(0, whole.indexOf('\n', whole.length / 2) + 1))
    const message = `${path} is not whole: 101 of 200 calls, 0 of 1 labelled ones`
    await expect(judge(path)).rejects.toMatchObject({ code: 'USAGE', message })
  })

  it('is never a log whose last line is cut', async () => {
    const path = join(folder, 'kong.ndjson')
    writeFileSync(path, logText().slice(0, -40))
    const message = `${path} is not whole: 200 of 200 calls, 1 of 1 labelled ones, 1 damaged line`
    await expect(judge(path)).rejects.toMatchObject({ code: 'USAGE', message })
  })

  it('is never a broken archive', async () => {
    const path = join(folder, 'kong.ndjson.gz')
    const whole = gzipSync(logText())
    writeFileSync(path, whole.subarray(0, whole.length - 100))
    const message = expect.stringContaining(`${path} cannot be read to its end`)
    await expect(judge(path)).rejects.toMatchObject({ code: 'USAGE', message })
  })

  it('is never something that is not there', () => {
    const world = { size: 'small', seed: 7, faults: true } as const
    const own = join(folder, 'small-7-faults')
    expect(() => givenWorld(folder, world)).toThrow(`${join(own, 'kong.ndjson')} does not exist`)
    mkdirSync(own)
    writeFileSync(join(own, 'kong.ndjson.gz'), '')
    expect(() => givenWorld(folder, world)).toThrow(`${join(own, 'labels.ndjson')} does not exist`)
    writeFileSync(join(own, 'labels.ndjson'), '')
    expect(givenWorld(folder, world).log).toBe(join(own, 'kong.ndjson.gz'))
  })
})

describe('options of judging', () => {
  it('have defaults', () => {
    const options = judgingOptions([])
    expect(options).toMatchObject({ size: 'small', seeds: [101, 102, 103, 104, 105] })
    expect(options.tuning).toHaveLength(20)
    expect(judgingOptions(['--tuning', 'none']).tuning).toEqual([])
    expect(judgingOptions(['--data=x', '--fresh']).source).toEqual({ data: 'x', fresh: true })
  })

  it('name what is wrong', () => {
    expect(() => judgingOptions(['--sise', 'small'])).toThrow('--sise is not known')
    expect(() => judgingOptions(['--size', 'huge'])).toThrow('--size huge is none of small, full, light')
    expect(() => judgingOptions(['--seeds'])).toThrow('--seeds needs a value')
  })

  it('list seeds', () => {
    expect(seedList('3,1-2,2')).toEqual([1, 2, 3])
    for (const wrong of ['', '5-1', 'x', '1,,2', '-3', '1-99999999']) {
      expect(() => seedList(wrong)).toThrow('is not a list of seeds')
    }
  })
})
