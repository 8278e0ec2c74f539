import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { runCommandLine } from '../../../cli/dispatch.ts'
import { readHead } from '../../../cli/log-head.ts'
import { wallTime } from '../../../core/time.ts'
import { FORMAT_NAMES } from '../../../ingest/formats/catalog.ts'

const folder = mkdtempSync(join(tmpdir(), 'curfew-formats-'))
afterAll(() => rmSync(folder, { recursive: true }))
const sample = (name: string) =>
  fileURLToPath(new URL(`../../../samples/formats/${name}.log`, import.meta.url))

async function curfew(
  words: readonly string[],
  input = '',
): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const io = {
    stdin: Readable.from(input === '' ? [] : [Buffer.from(input)]),
    stdout,
    stderr,
    env: {},
    clock: { now: () => wallTime(0) },
    isTerminal: false,
  }
  const code = await runCommandLine(words, io)
  const said = (stream: PassThrough) => String(stream.read() ?? '')
  return { code, out: said(stdout), err: said(stderr) }
}

describe('curfew formats', () => {
  it('lists every format with its page', async () => {
    const { code, out } = await curfew(['formats'])
    expect(code).toBe(0)
    for (const name of FORMAT_NAMES) expect(out).toMatch(new RegExp(`^${name} `, 'm'))
    expect(out).toContain('docs/gateways/nginx.md')
  })
})

describe('curfew formats try', () => {
  it('shows what is understood and what the rest costs', async () => {
    const { code, out } = await curfew(['formats', 'try', sample('tyk')])
    expect(code).toBe(0)
    expect(out).toContain('format tyk, told by 6 of 6 lines\n6 calls, 0 dead letters')
    expect(out).toMatch(/^principal {2,}key:acme-mobile, verified$/m)
    expect(out).toMatch(/^responseBytes {2,}0 of 6 {4}records cannot be estimated/m)
    expect(out).toMatch(/^status {2,}6 of 6$/m)
  })

  it('reads the standard input, and only as many lines as it is told', async () => {
    const { code, out } = await curfew(
      ['formats', 'try', '--lines', '2', '-'],
      readFileSync(sample('envoy'), 'utf8'),
    )
    expect([code, out.includes('told by 2 of 2 lines')]).toEqual([0, true])
  })

  it('says when it is not sure, and reads what it is told to read', async () => {
    const path = join(folder, 'mixed.log')
    writeFileSync(path, readFileSync(sample('nginx'), 'utf8') + readFileSync(sample('haproxy'), 'utf8'))
    const unsure = await curfew(['formats', 'try', path])
    expect([unsure.code, unsure.out]).toEqual([
      1,
      `${path.slice(0, 80)}: the first 12 lines fit no single format (nginx 6, haproxy 6); say which with --format\n`,
    ])
    const told = await curfew(['formats', 'try', '--format', 'haproxy', path])
    expect(told.out).toContain('format haproxy, as given; fits 6 of 12 lines')
    expect(told.out).toContain('dead letter, missing-field (ts_ms)')
  })

  it('shows no control characters and no secrets of a log', async () => {
    const path = join(folder, 'hostile.log')
    const key = 'sk_live_Zq7aB3xY9mK2pL5nW8vT'
    const line = readFileSync(sample('envoy'), 'utf8').split('\n', 1)[0]!
    writeFileSync(path, line.replace('acme-ios/4.2', `\\u001b[31m x-api-key=${key}`))
    const { out } = await curfew(['formats', 'try', path])
    expect(out).not.toContain('\u001b')
    expect(out).not.toContain(key)
  })
})

describe('curfew replay --format auto', () => {
  it('reads every line once, of a file and of a pipe', async () => {
    const text = readFileSync(sample('haproxy'), 'utf8')
    const ofFile = await curfew(['replay', '--format', 'auto', sample('haproxy'), sample('haproxy')])
    expect(JSON.parse(ofFile.out)).toMatchObject({ events: 12, rejected: 0 })
    expect(JSON.parse((await curfew(['replay', '--format', 'auto', '-'], text)).out)).toMatchObject({
      events: 6,
    })
  })

  it('does not guess', async () => {
    const { code, err } = await curfew(['replay', '--format', 'auto', '-'], 'hello\n')
    expect([code, err]).toEqual([
      2,
      'curfew: -: none of the first 1 lines has the members of a known format; say which with --format (see `curfew replay --help`)\n',
    ])
  })
})

describe('the head of a log', () => {
  it('is let go when no more is wanted', async () => {
    let isClosed = false
    const endless = async function* () {
      try {
        for (;;) yield Buffer.from('a\n')
      } finally {
        isClosed = true
      }
    }
    const head = await readHead(endless(), 3)
    expect([head.lines.length, isClosed]).toEqual([3, false])
    await head.close()
    expect(isClosed).toBe(true)
  })

  it('is read ahead and loses nothing', async () => {
    const chunks = async function* () {
      for (const text of ['a\nb', 'b\nc', '\nd']) yield Buffer.from(text)
    }
    const { lines, whole } = await readHead(chunks(), 2)
    expect(lines.map(String).map((l) => Buffer.from(l.split(',').map(Number)).toString())).toEqual([
      'a',
      'bb',
    ])
    const all: Buffer[] = []
    for await (const chunk of whole) all.push(Buffer.from(chunk))
    expect(Buffer.concat(all).toString()).toBe('a\nbb\nc\nd')
  })
})
