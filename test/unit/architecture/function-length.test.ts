import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it, vi } from 'vitest'

/** Reading the whole repository takes as long as the machine is busy. */
vi.setConfig({ testTimeout: 60_000 })

const root = fileURLToPath(new URL('../../../', import.meta.url))
const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
const FOLDERS = [
  'core',
  'files',
  'ingest',
  'baseline',
  'detectors',
  'engine',
  'enforcement',
  'alerts',
  'admin',
]
const fixture = mkdtempSync(join(tmpdir(), 'curfew-length-'))
afterAll(() => rmSync(fixture, { recursive: true, force: true }))

const ONLY = '--only=complexity/noExcessiveLinesPerFunction'

/** The linter with the configuration of the repository. */
function lint(cwd: string, folders: readonly string[], ...flags: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [biome, 'lint', ...flags, ...folders], {
    cwd,
    encoding: 'utf8',
  })
  return { status, text: stdout + stderr }
}

describe('no function of the product beyond 60 lines', () => {
  it('holds in every folder', () => {
    const { status, text } = lint(root, FOLDERS, ONLY)
    expect(status, text).toBe(0)
  })

  it('is noticed when broken, there and only there', () => {
    copyFileSync(join(root, 'biome.json'), join(fixture, 'biome.json'))
    for (const [path, lines] of [
      ...FOLDERS.map((f) => [`${f}/long.ts`, 61] as const),
      ['core/short.ts', 50],
      ['test/long.ts', 61],
    ] as const) {
      mkdirSync(join(fixture, path, '..'), { recursive: true })
      writeFileSync(join(fixture, path), `export function f() {\n${'  g()\n'.repeat(lines)}}\n`)
    }
    const { status, text } = lint(fixture, ['.'], '--vcs-enabled=false')
    expect(status).not.toBe(0)
    expect(text).toContain('noExcessiveLinesPerFunction')
    for (const folder of FOLDERS) expect(text).toContain(`${folder}/long.ts`)
    expect(text).not.toContain('short.ts')
    expect(text).not.toContain('test/long.ts')
  })
})
