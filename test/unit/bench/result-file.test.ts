import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readResult, resultsFolder, resultText, writeResult } from '../../../bench/report/result-file.ts'
import { metric, result } from './results.ts'

const folder = mkdtempSync(join(tmpdir(), 'curfew-results-'))
afterAll(() => rmSync(folder, { recursive: true }))

const example = result({ 'detected-at-5': metric(0.612), median: metric(null, { unit: 'events' }) })

/** A file next to the written one whose text was changed. */
function changed(name: string, change: (text: string) => string): string {
  const path = join(folder, name)
  writeFileSync(path, change(readFileSync(writeResult(example, folder), 'utf8')))
  return path
}

const codeOf = (path: string) => {
  try {
    readResult(path)
    return 'read'
  } catch (error) {
    return `${(error as { code: string }).code} ${(error as Error).message}`
  }
}

describe('a result file', () => {
  it('is read back as it was written, and is the same bytes each time', () => {
    const path = writeResult(example, folder)
    expect(readResult(path)).toEqual(example)
    expect(readFileSync(path, 'utf8')).toBe(resultText(example))
    expect(resultText(readResult(path))).toBe(resultText(example))
  })

  it('refuses a number that JSON cannot write', () => {
    expect(() => resultText(result({ a: metric(Number.NaN) }))).toThrow('metrics/a/value')
  })

  it.each<[string, (text: string) => string]>([
    ['truncated', (text) => text.slice(0, -40)],
    ['edited', (text) => text.replace('0.612', '0.912')],
    ['edited', (text) => text.replace('"benchmark"', '"Benchmark"').replace('checksum', 'check')],
    ['edited', (text) => `${text}\n`],
    ['edited', (text) => text.replace('"value": 0.612', '"value": 0.912, "value": 0.612')],
  ])('that was %s is refused by name', (_, change) => {
    const path = changed('broken.json', change)
    expect(codeOf(path)).toMatch(/^USAGE .*broken\.json/)
  })

  it('is refused when another version wrote it or it is absent', () => {
    const old = { ...example, benchmark: 'old', version: 'bench-v0' as 'bench-v1' }
    expect(codeOf(writeResult(old, folder))).toMatch(/^USAGE .*old\.json has version bench-v0/)
    expect(codeOf(join(folder, 'none.json'))).toMatch(/^USAGE cannot read .*none\.json \(ENOENT\)/)
  })
})

it('the results that the repository keeps are whole and lie under their names', () => {
  const files = readdirSync(resultsFolder()).filter((name) => name.endsWith('.json'))
  expect(files).toContain('github.json')
  for (const name of files) expect(`${readResult(join(resultsFolder(), name)).benchmark}.json`).toBe(name)
})
