import { execFileSync, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { linesOf, type Outputs, ReplayFolder } from './replay-command.ts'
import { story } from './story.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const CONFIG = `
sources:
  - name: log
    kind: file
    format: canonical
    gateway: { kind: kong, id: edge }
    paths: [/var/log/access.ndjson]
defaultMode: enforce
`

const LOG = story()
const FORMAT = ['--format', 'canonical']

let folder: ReplayFolder
beforeEach(() => {
  folder = new ReplayFolder()
})
afterEach(() => {
  folder.close()
})

const joined = (a: Outputs, b: Outputs): Outputs => ({
  alerts: a.alerts + b.alerts,
  decisions: a.decisions + b.decisions,
  scores: a.scores + b.scores,
  rejected: a.rejected + b.rejected,
})

describe('curfew replay', () => {
  it('writes the same bytes twice', async () => {
    const file = folder.file('log', LOG)
    const config = folder.file('curfew.yaml', CONFIG)
    const first = await folder.replay(['--config', config, file])
    const second = await folder.replay(['--config', config, file])
    expect(first.code).toBe(0)
    expect(second.outputs).toEqual(first.outputs)
    expect(linesOf(first.outputs.alerts).length).toBeGreaterThan(0)
    expect(linesOf(first.outputs.decisions).map((d) => d.mode)).toContain('enforce')
  })

  it('judges with the detectors that the configuration names, and knows no others', async () => {
    const file = folder.file('log', LOG)
    const only = folder.file('only.yaml', `${CONFIG}detectors: [volume]\n`)
    const none = folder.file('none.yaml', `${CONFIG}detectors: [magic]\n`)
    const detectorsIn = (alerts: string) => new Set(linesOf(alerts).flatMap((a) => a.detectors as string[]))
    const { outputs } = await folder.replay(['--config', only, file])
    expect(detectorsIn(outputs.alerts)).toEqual(new Set(['volume']))
    const all = await folder.replay(['--config', folder.file('all.yaml', CONFIG), file])
    expect(detectorsIn(all.outputs.alerts).size).toBeGreaterThan(1)
    const refused = await folder.replay(['--config', none, file])
    expect(refused.code).toBe(2)
    expect(refused.err).toMatch(/detectors\[0\].*magic/)
  })

  it('ends with one line of summary with exactly these members', async () => {
    const { summary } = await folder.replay([...FORMAT, folder.file('log', LOG)])
    expect(Object.keys(summary)).toEqual([
      'events',
      'rejected',
      'duplicates',
      'principals',
      'incidents',
      'incidentsOpen',
      'decisions',
      'eventsPerSecond',
      'peakRssBytes',
    ])
    expect(summary).toMatchObject({
      events: LOG.split('\n').length - 1,
      rejected: 0,
      duplicates: 0,
      principals: 6,
      incidents: 1,
    })
    expect(Object.values(summary).every((v) => typeof v === 'number' && v >= 0)).toBe(true)
  })

  it('in two halves with --state gives the outputs of one run', async () => {
    const lines = LOG.split('\n').slice(0, -1)
    const whole = await folder.replay([...FORMAT, folder.file('whole', LOG)])
    for (const cut of [1, lines.length - 100]) {
      const state = ['--state', join(folder.path, `state-${cut}`)]
      const a = folder.file('a', `${lines.slice(0, cut).join('\n')}\n`)
      const b = folder.file('b', `${lines.slice(cut).join('\n')}\n`)
      const first = await folder.replay([...FORMAT, ...state, a])
      const second = await folder.replay([...FORMAT, ...state, b])
      expect([first.code, second.code]).toEqual([0, 0])
      expect(joined(first.outputs, second.outputs)).toEqual(whole.outputs)
      expect(second.summary).toMatchObject({ principals: 6, incidentsOpen: whole.summary.incidentsOpen })
    }
  })

  it('takes several files as one stream', async () => {
    const lines = LOG.split('\n').slice(0, -1)
    const a = folder.file('a', `${lines.slice(0, 300).join('\n')}\n`)
    const b = folder.file('b', lines.slice(300).join('\n'))
    const whole = await folder.replay([...FORMAT, folder.file('whole', LOG)])
    expect((await folder.replay([...FORMAT, a, b])).outputs).toEqual(whole.outputs)
  })

  it('reads plain, gzip and standard input alike', async () => {
    const bytes = Buffer.from(LOG)
    const zipped = gzipSync(bytes)
    const plain = await folder.replay([...FORMAT, folder.file('log', bytes)])
    const others = [
      await folder.replay([...FORMAT, folder.file('log.gz', zipped)]),
      await folder.replay([...FORMAT, '-'], [bytes.subarray(0, 777), bytes.subarray(777)]),
      await folder.replay([...FORMAT, '-'], [zipped.subarray(0, 900), zipped.subarray(900)]),
      await folder.replay([...FORMAT, '-'], [zipped.subarray(0, 1), zipped.subarray(1)]),
      // Two members in one file, as rotated logs are put together.
      await folder.replay([
        ...FORMAT,
        folder.file(
          'two.gz',
          Buffer.concat([gzipSync(bytes.subarray(0, 5_000)), gzipSync(bytes.subarray(5_000))]),
        ),
      ]),
    ]
    for (const other of others) expect(other.outputs).toEqual(plain.outputs)
  })

  it('reads a pipe from its first byte', async () => {
    const pipe = join(folder.path, 'pipe')
    execFileSync('mkfifo', [pipe])
    const writer = spawn('cat', [folder.file('log', LOG)], { stdio: ['ignore', 'pipe', 'ignore'] })
    writer.stdout.pipe(createWriteStream(pipe))
    const piped = await folder.replay([...FORMAT, pipe])
    expect(piped.summary).toMatchObject({ rejected: 0, events: LOG.split('\n').length - 1 })
  })

  it('counts a call that the log holds twice once', async () => {
    const lines = LOG.split('\n').slice(0, 50)
    const { summary, outputs } = await folder.replay([
      ...FORMAT,
      folder.file('log', [...lines, ...lines].join('\n')),
    ])
    expect(summary).toMatchObject({ events: 100, duplicates: 50 })
    expect(
      linesOf(outputs.scores)
        .slice(50)
        .every((s) => s.duplicate === true && s.score === null),
    ).toBe(true)
  })
})

describe('bad usage', () => {
  it('is a state that was made under another configuration, naming both', async () => {
    const file = folder.file('log', LOG)
    const state = ['--state', join(folder.path, 'state')]
    await folder.replay([...FORMAT, ...state, file])
    const { code, err } = await folder.replay([
      '--config',
      folder.file('curfew.yaml', CONFIG),
      ...state,
      file,
    ])
    expect(code).toBe(2)
    const hashes = err.match(/[0-9a-f]{12}/g)
    expect(new Set(hashes).size).toBe(2)
  })

  it('is an unknown format, naming the known ones', async () => {
    const { code, err } = await folder.replay(['--format', 'squid', folder.file('log', LOG)])
    expect(code).toBe(2)
    expect(err).toMatch(/squid.*canonical.*kong|squid.*kong.*canonical/)
  })

  it('is a file that is not there, and an output that cannot be written', async () => {
    const missing = await folder.replay([...FORMAT, join(folder.path, 'nothing.log')])
    expect(missing).toMatchObject({ code: 2, err: expect.stringContaining('nothing.log (ENOENT)') })
    const target = join(folder.path, 'no', 'such', 'folder')
    const unwritable = await folder.replay([...FORMAT, '--alerts', target, folder.file('log', LOG)])
    expect(unwritable.code).toBe(2)
  })

  it('is no file at all', async () => {
    expect((await folder.replay(FORMAT)).code).toBe(2)
  })
})

describe('damaged input', () => {
  it('of nothing gives nothing', async () => {
    const { code, summary, outputs } = await folder.replay([...FORMAT, folder.file('empty', '')])
    expect(code).toBe(0)
    expect(summary).toMatchObject({ events: 0, rejected: 0, principals: 0, incidents: 0, decisions: 0 })
    expect(outputs).toEqual({ alerts: '', decisions: '', scores: '', rejected: '' })
  })

  it('is rejected line by line, with the line, the reason and an excerpt, and the rest is scored', async () => {
    const good = LOG.split('\n')[0]!
    const file = folder.file('log', `${good}\nnot json\n{"time":1}\n\n[1,2\n${good.replace('GET', 'PUT')}\n`)
    const { summary, outputs } = await folder.replay([...FORMAT, file])
    const rejected = linesOf(outputs.rejected)
    expect(rejected.length).toBeGreaterThanOrEqual(3)
    expect(summary).toMatchObject({ events: 2, rejected: rejected.length })
    for (const line of rejected) expect(Object.keys(line)).toEqual(['line', 'reason', 'excerpt'])
    expect(rejected.map((r) => r.line)).toEqual(
      [...rejected.map((r) => r.line as number)].sort((a, b) => a - b),
    )
    expect(linesOf(outputs.scores)).toHaveLength(2)
  })

  it('keeps secrets out of the excerpts', async () => {
    const file = folder.file(
      'log',
      '{"headers":{"authorization":"Bearer eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl"},"time":"soon"}\n',
    )
    const { outputs } = await folder.replay([...FORMAT, file])
    expect(linesOf(outputs.rejected)).toHaveLength(1)
    expect(outputs.rejected).not.toContain('eyJzdWIi')
    expect(outputs.rejected).not.toContain('c2lnbmF0dXJl')
  })

  it('in a line of 10 MB costs that line only', async () => {
    const good = LOG.split('\n').slice(0, 2)
    const long = `{"time":"2026-09-07T08:00:00Z","method":"GET","path":"/${'a'.repeat(10 * 1_048_576)}"}`
    const { code, summary, outputs } = await folder.replay([
      ...FORMAT,
      folder.file('log', `${good[0]}\n${long}\n${good[1]}\n`),
    ])
    expect(code).toBe(0)
    expect(linesOf(outputs.scores).map((s) => s.line)).toEqual([1, 3])
    expect(summary).toMatchObject({ events: 2, rejected: 1 })
    expect(outputs.rejected.length).toBeLessThan(2_000)
  })

  it('that is not UTF-8 costs that line only', async () => {
    const [first, second] = LOG.split('\n')
    const broken = Buffer.from(first!)
    broken.fill(0xff, broken.indexOf('svc-'), broken.indexOf('svc-') + 3)
    const file = folder.file('log', Buffer.concat([broken, Buffer.from(`\n${second}\n`)]))
    const { code, summary, outputs } = await folder.replay([...FORMAT, file])
    expect(code).toBe(0)
    expect(summary).toMatchObject({ rejected: 1 })
    expect(linesOf(outputs.scores).at(-1)).toMatchObject({ line: 2 })
  })

  it('in a gzip file that ends too early is told, with what was read', async () => {
    const cut = gzipSync(Buffer.from(LOG)).subarray(0, 20_000)
    const { code, err } = await folder.replay([...FORMAT, folder.file('cut.gz', cut)])
    expect(code).toBeGreaterThan(0)
    expect(err).toContain('cut.gz')
  })
})
