import { readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { COMMAND_SPECS } from '../../../cli/command-specs.ts'
import { runCommandLine } from '../../../cli/dispatch.ts'
import { CurfewError, type ErrorCode } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const declared = [...read('core/errors.ts').matchAll(/^ {2}\| '([A-Z_]+)'$/gm)].map((match) => match[1]!)
const rows = [...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)` \|.*\| (yes|no) \| (\d) \|$/gm)].map(
  (match) => ({
    code: match[1] as ErrorCode,
    exit: Number(match[3]),
  }),
)

describe('docs/errors.md', () => {
  it('explains every code of core/errors.ts once, in the same order', () => {
    expect(declared.length).toBeGreaterThan(10)
    expect(rows.map((row) => row.code)).toEqual(declared)
  })

  it.each(rows)('$code ends a command with $exit', async ({ code, exit }) => {
    const stream = new PassThrough()
    const io = {
      stdin: stream,
      stdout: stream,
      stderr: stream,
      env: {},
      clock: { now: () => wallTime(0) },
      isTerminal: false,
    }
    const fail = { run: () => Promise.reject(new CurfewError(code, 'x')) }
    expect(await runCommandLine(['start'], io, async () => fail, COMMAND_SPECS)).toBe(exit)
  })
})
