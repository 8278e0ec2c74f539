import { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { findCommand, parseCommand } from '../../../cli/arguments.ts'
import { isSet, numberFlag, type ParsedArgs, textFlag } from '../../../cli/command.ts'
import { COMMAND_SPECS } from '../../../cli/command-specs.ts'
import { runCommandLine } from '../../../cli/dispatch.ts'
import { CurfewError, type ErrorCode } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'

class Collected extends Writable {
  text = ''
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

type Body = (args: ParsedArgs) => Promise<number>

/** Runs a command line; with a body every command exists and does what the body says. */
async function curfew(words: readonly string[], body?: Body) {
  const [stdout, stderr] = [new Collected(), new Collected()]
  const io = {
    stdin: Readable.from([]),
    stdout,
    stderr,
    env: {},
    clock: { now: () => wallTime(0) },
    isTerminal: false,
  }
  const code = body
    ? await runCommandLine(words, io, async () => ({ run: body }), COMMAND_SPECS)
    : await runCommandLine(words, io)
  return { code, out: stdout.text, err: stderr.text }
}

const sample = fileURLToPath(new URL('../../../samples/config/production.yaml', import.meta.url))

describe('help', () => {
  it('--help lists every command', async () => {
    const { code, out } = await curfew(['--help'], async () => 0)
    expect(code).toBe(0)
    for (const { name } of COMMAND_SPECS) expect(out).toContain(`  ${name}  `.trimEnd())
  })

  it('nothing at all is bad usage', async () => {
    expect(await curfew([])).toMatchObject({ code: 2, out: '' })
  })

  it.each(COMMAND_SPECS.map((spec) => [spec.name, spec] as const))(
    '%s --help teaches',
    async (name, spec) => {
      const { code, out } = await curfew([...name.split(' '), '--help'], async () => 9)
      expect(code).toBe(0)
      expect(out).toContain('Exit codes:')
      expect(spec.examples.length).toBeGreaterThanOrEqual(2)
      for (const flag of spec.flags) expect(out).toContain(`--${flag.name}`)
      for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(110)
    },
  )

  it('help NAME is the same', async () => {
    const long = await curfew(['config', 'check', '--help'])
    expect(await curfew(['help', 'config', 'check'])).toEqual(long)
  })

  it('every example parses', () => {
    for (const spec of COMMAND_SPECS) {
      for (const { command } of spec.examples) {
        const words = command
          .replace(/^npm start( --)?/, 'curfew start')
          .split(/ [|>] /)[0]!
          .split(' ')
          .slice(1)
        const { rest } = findCommand(words, COMMAND_SPECS)
        expect(() => parseCommand(spec, rest), command).not.toThrow()
      }
    }
  })

  it('--version prints the version of the package', async () => {
    expect((await curfew(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('arguments', () => {
  it('reach the command, checked', async () => {
    let seen: ParsedArgs | undefined
    const words = ['replay', '--format', 'kong', '--scores=-', '--state', 'd', 'a.log', '-', '--', '--odd']
    const { code } = await curfew(words, async (args) => {
      seen = args
      return 7
    })
    expect(code).toBe(7)
    expect(seen?.positionals).toEqual(['a.log', '-', '--odd'])
    expect([textFlag(seen!, 'format'), textFlag(seen!, 'scores'), textFlag(seen!, 'alerts')]).toEqual([
      'kong',
      '-',
      undefined,
    ])
  })

  it('numbers and switches keep their kind', async () => {
    await curfew(['run', '--config', 'c', '--workers', '4'], async (args) => {
      expect([numberFlag(args, 'workers'), isSet(args, 'workers')]).toEqual([4, false])
      return 0
    })
    await curfew(['panic', '--config', 'c', '--dry-run'], async (args) => {
      expect(isSet(args, 'dry-run')).toBe(true)
      return 0
    })
  })

  it.each([
    [['rum'], 'there is no command "rum"; did you mean `run`?'],
    [['config'], 'there is no command "config"; there is: config check, config reference'],
    [['config', 'chek'], 'did you mean `config check`?'],
    [['\u001b[31mx'], 'there is no command "\\u{1b}[31mx"'],
    [['replay', '--stat', 'd', 'f'], 'has no flag --stat; did you mean --state?'],
    [['replay', '-s', 'f'], 'has no flag -s'],
    [['replay'], 'needs FILE...'],
    [['replay', '--format', 'kng', 'f'], '--format is "kng", allowed are auto, kong, '],
    [['replay', '--state'], '--state needs a value: --state DIR'],
    [['replay', '--state', '--format', 'kong', 'f'], '--state needs a value'],
    [['replay', '--state', 'a', '--state', 'b', 'f'], '--state is given twice'],
    [['run'], 'needs --config FILE'],
    [['run', '--config', 'c', 'x'], 'takes no argument, got "x"'],
    [['run', '--config', 'c', '--workers', '0'], '--workers is "0", allowed is a whole number from 1 to 256'],
    [['run', '--config', 'c', '--workers', '1e2'], 'allowed is a whole number'],
    [['panic', '--config', 'c', '--dry-run=yes'], '--dry-run takes no value'],
    [['explain', '--config', 'c', 'a', 'b'], 'one argument too many: "b"'],
  ])('%j is bad usage', async (words, message) => {
    const { code, out, err } = await curfew(words, async () => 0)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(`curfew: `)
    expect(err).toContain(message)
    expect(err.trimEnd()).not.toContain('\n')
    expect(err).toMatch(/\(see `curfew .*--help`\)\n$/)
  })
})

describe('failures', () => {
  it.each<[ErrorCode, number]>([
    ['CONFIG_INVALID', 2],
    ['SECRET_MISSING', 2],
    ['STORE_UNREACHABLE', 2],
    ['STORE_MAY_EVICT', 2],
    ['LOG_UNREACHABLE', 2],
    ['STORE_CORRUPT', 1],
    ['GATEWAY_UNREACHABLE', 1],
  ])('%s ends with one line and exit code %i', async (errorCode, exit) => {
    const { code, err } = await curfew(['start'], async () => {
      throw new CurfewError(errorCode, 'what\nhappened \u001b[2J')
    })
    expect(code).toBe(exit)
    expect(err).toBe('curfew: what; happened \\u{1b}[2J\n')
  })

  it('a defect shows its stack', async () => {
    const { code, err } = await curfew(['start'], async () => {
      throw new TypeError('boom')
    })
    expect(code).toBe(1)
    expect(err).toContain('please report it\nTypeError: boom\n    at ')
  })
})

describe('curfew config check', () => {
  it('0 and a plain word when the file can be used', async () => {
    const checked = await curfew(['config', 'check', '--no-secrets', sample])
    expect(checked).toEqual({ code: 0, out: 'the configuration can be used\n', err: '' })
  })

  it('2 and FILE:LINE for each problem', async () => {
    const { code, out, err } = await curfew(['config', 'check', '--config', sample])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(`${sample}:`.slice(0, 80))
    expect(err).toContain('the environment variable CURFEW_INGEST_TOKEN is not set')
    expect(err).toMatch(/curfew: \d+ problems found, the configuration cannot be used\n$/)
  })

  it('2 when there is no such file, or two', async () => {
    expect(await curfew(['config', 'check', '/none.yaml'])).toEqual({
      code: 2,
      out: '',
      err: 'curfew: cannot read the configuration /none.yaml (ENOENT)\n',
    })
    expect((await curfew(['config', 'check', '--config', 'a', 'b'])).code).toBe(2)
  })
})
