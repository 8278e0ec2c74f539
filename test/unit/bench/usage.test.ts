import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { asksForHelp, BENCHMARK_USAGE, checkOptions, usageText } from '../../../bench/usage.ts'
import { compileProgram } from '../../services/compiled-program.ts'

describe('the command line of the benchmarks', () => {
  it('takes what each says it takes', () => {
    for (const [name, { values = {}, flags = [], positionals = [] }] of Object.entries(BENCHMARK_USAGE)) {
      const named = Object.keys(values).flatMap((option, i) =>
        i % 2 ? [`--${option}=1`] : [`--${option}`, '1'],
      )
      checkOptions(name, [...named, ...flags.map((flag) => `--${flag}`), ...positionals])
      expect(usageText(name)).toContain(`npm run bench -- ${name}`)
    }
  })

  it.each([
    ['replay', ['--runz', '3']],
    ['replay', ['-r', '3']],
    ['replay', ['--runs']],
    ['replay', ['fast']],
    ['detection', ['--fresh=1']],
    ['compare', ['a.json', 'b.json', 'c.json']],
    ['latency', ['--constructor', '1']],
  ])('refuses %s %j', (name, args) => {
    expect(() => checkOptions(name, args)).toThrow(/.+/)
  })

  it('tells a question for help from a run', () => {
    expect([['--help'], ['--runs', '2', '-h'], ['--runs', '2']].map(asksForHelp)).toEqual([true, true, false])
  })

  it('ends with 2 for an unknown option and with 0 for help, without measuring', {
    timeout: 60_000,
  }, async () => {
    const compiled = await compileProgram()
    try {
      const run = (...args: string[]) =>
        new Promise<readonly [number, string]>((resolve) => {
          const program = join(compiled.file('bench/main.ts'))
          execFile(process.execPath, [program, ...args], (error, stdout, stderr) =>
            resolve([error === null ? 0 : Number(error.code), stdout + stderr]),
          )
        })
      expect(await run('replay', '--line', '5')).toEqual([2, expect.stringContaining('has no option --line')])
      expect(await run('replay', '--help')).toEqual([0, usageText('replay')])
    } finally {
      await compiled.remove()
    }
  })
})
