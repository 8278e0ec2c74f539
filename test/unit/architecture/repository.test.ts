import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { RULES } from './rules.ts'

/** Reading the whole repository takes as long as the machine is busy. */
vi.setConfig({ testTimeout: 60_000 })

const root = fileURLToPath(new URL('../../../', import.meta.url))
/** Folders at the top: what is made from the source, and what is none. */
const SKIPPED = new Set(['node_modules', 'dist', '.git', 'coverage', 'notebooks'])

/** The rules and their broken fixtures would report themselves. */
const OWN = 'test/unit/architecture/'

function sourceFiles(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (SKIPPED.has(relative(root, path))) return []
    if (entry.isDirectory()) return sourceFiles(path)
    return /\.(ts|mjs)$/.test(entry.name) ? [path] : []
  })
}

const files = new Map(
  sourceFiles(root)
    .map((path) => [relative(root, path).split(sep).join('/'), readFileSync(path, 'utf8')] as const)
    .filter(([path]) => !path.startsWith(OWN)),
)

describe('the repository', () => {
  it('is looked at as a whole', () => {
    const folders = new Set([...files.keys()].map((path) => path.split('/')[0]))
    for (const folder of [
      'core',
      'files',
      'ingest',
      'baseline',
      'engine',
      'enforcement',
      'alerts',
      'cli',
      'test',
    ]) {
      expect(folders).toContain(folder)
    }
  })

  it.each(Object.keys(RULES))('keeps the rule %s', (name) => {
    expect(RULES[name]!(files)).toEqual([])
  })
})
