import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import type { Config } from '../../../cli/config/schema.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'

const LONG = 'a-secret-that-is-long-enough-for-all-of-them'

function load(text: string, env: Record<string, string> = {}) {
  return loadConfig(text, {
    env: (name) => env[name],
    file: (path) => {
      if (path === '/run/key') return `${LONG}\n`
      throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
    },
  })
}

function config(text: string, env: Record<string, string> = {}): Config {
  const loaded = load(text, env)
  if (!loaded.ok) throw new Error(problemLines('test.yaml', loaded.problems).join('\n'))
  return loaded.config
}

function problems(text: string, env: Record<string, string> = {}): readonly string[] {
  const loaded = load(text, env)
  return loaded.ok ? [] : problemLines('f.yaml', loaded.problems)
}

const KONG_SOURCE = `
sources:
  - name: kong
    kind: file
    format: kong
    gateway: { kind: kong, id: eu }
    paths: [a.log]
`

describe('defaults', () => {
  it('an empty file is the embedded set-up, loopback, observing', () => {
    const loaded = config('')
    expect(loaded.store).toEqual({ kind: 'embedded', folder: 'curfew-data/state' })
    expect(loaded.log).toMatchObject({ kind: 'embedded', folder: 'curfew-data/log' })
    expect(loaded.admin.listen).toBe('127.0.0.1:8740')
    expect(loaded.defaultMode).toBe('observe')
    expect(loaded.detection).toEqual(DEFAULT_SETTINGS)
    expect(loaded.decisionEndpoint).toBeUndefined()
  })

  it('fills defaults inside a source', () => {
    const [source] = config(KONG_SOURCE).sources
    expect(source).toMatchObject({
      kind: 'file',
      follow: false,
      records: { headers: ['x-records-returned'], contentRange: true },
      principal: { issuers: {} },
    })
  })

  it('a section with all settings commented out is empty, not wrong', () => {
    expect(config('enforcement:\n  # maxEvidenceAgeSeconds: 5\n').enforcement.maxEvidenceAgeSeconds).toBe(300)
  })
})

describe('problems', () => {
  it('names an unknown key with its line and the nearest known key', () => {
    expect(problems('tenant: a\ndefaultmode: observe\n')).toEqual([
      'f.yaml:2: `defaultmode` is not known in the configuration; did you mean `defaultMode`?',
    ])
  })

  it('says where a key of another kind belongs', () => {
    const [problem] = problems(`${KONG_SOURCE}    topics: [x]\n`)
    expect(problem).toBe('f.yaml:8: `topics` is not known in `sources[0]` (it belongs to kind `kafka`)')
  })

  it('reports every problem, not only the first', () => {
    const found = problems(
      'store: { kind: rediss }\nlogLevel: loud\ndetection: { holdSeconds: 1, quietSeconds: soon }\n',
    )
    expect(found).toEqual([
      'f.yaml:1: `kind` is "rediss", allowed are `embedded`, `redis`; did you mean `redis`?',
      'f.yaml:2: `logLevel` is "loud", allowed are `debug`, `info`, `warn`, `error`, `silent`',
      'f.yaml:3: `detection.holdSeconds` is 1, allowed is a number from 60 to 604800 (seconds)',
      'f.yaml:3: `detection.quietSeconds` is "soon", allowed is a number from 60 to 604800 (seconds of event time)',
    ])
  })

  it('names what is missing', () => {
    expect(problems('sources:\n  - kind: file\n    name: a\n    format: kong\n    stdin: true\n')).toEqual([
      'f.yaml:2: `sources[0]` needs `gateway`: The gateway that writes this log.',
    ])
  })

  it.each([
    ['a text given as a number', 'tenant: 5', '`tenant` is 5, it must be text: put it in quotes'],
    ['a section given as text', 'admin: yes', '`admin` must be a section, not "yes"'],
    ['a list given as text', 'modes: enforce', '`modes` must be a list, not "enforce"'],
    ['not a number', 'memory: { maxPrincipals: .nan }', '`memory.maxPrincipals` is NaN'],
    ['a fraction', 'memory: { maxPrincipals: 1000.5 }', 'allowed is a whole number from 1000'],
    ['a boolean in words', `${KONG_SOURCE}    follow: yes`, 'allowed are true and false'],
    ['a port that cannot be', 'admin: { listen: "127.0.0.1:70000" }', 'allowed are ports from 0 to 65535'],
    ['nothing told apart', 'store: { folder: x }', '`store` needs a `kind`: `embedded`, `redis`'],
  ])('refuses %s', (_, text, message) => {
    expect(problems(text).join('\n')).toContain(message)
  })

  it('cuts values and escapes control characters', () => {
    const [problem] = problems(`logLevel: "\\e[31m\\n\\u202e${'x'.repeat(500)}"`)
    expect(problem).toContain('\\u{1b}[31m\\u{a}\\u{202e}xxx')
    expect(problem!.length).toBeLessThan(250)
  })
})

describe('hostile or broken YAML', () => {
  it.each([
    ['duplicate keys', 'tenant: a\ntenant: b', 'f.yaml:2: the same key stands here twice'],
    ['two documents', 'tenant: a\n---\ntenant: b', 'more than one YAML document'],
    ['broken syntax', 'sources: [', 'not valid YAML'],
    ['an unknown tag', 'tenant: !!js/function "x"', 'not valid YAML'],
    ['an alias to itself', 'a: &a [*a]', 'nested deeper than'],
    ['a key that is a list', '? [a]\n: b', 'a key must be plain text'],
    ['too many bytes', `tenant: ${'a'.repeat(1_100_000)}`, 'larger than'],
  ])('refuses %s', (_, text, message) => {
    expect(problems(text).join('\n')).toContain(message)
  })

  it('bounds what aliases expand to', () => {
    const levels = Array.from({ length: 12 }, (_, i) => {
      const inside =
        i === 0
          ? '"x"'
          : Array(9)
              .fill(`*l${i - 1}`)
              .join(',')
      return `l${i}: &l${i} [${inside}]`
    })
    expect(problems(levels.join('\n')).join('\n')).toContain('more than 20000 values, aliases included')
  })

  it('takes names from Object.prototype for what they are: unknown keys', () => {
    expect(problems('__proto__: {}\nconstructor: 1\ntoString: 1\n')).toHaveLength(3)
    const issuers = `${KONG_SOURCE}    principal: { issuers: { __proto__: x } }\n`
    expect(Object.entries(config(issuers).sources[0]!.principal.issuers)).toEqual([['__proto__', 'x']])
  })
})

describe('secrets', () => {
  const withToken = (line: string) => `admin:\n  tokens:\n    - name: ops\n      role: admin\n      ${line}\n`

  it('come from variables and files, without the final newline', () => {
    expect(config(withToken('tokenEnv: TOKEN'), { TOKEN: LONG }).admin.tokens[0]?.token?.reveal()).toBe(LONG)
    expect(config('identityKeyFile: /run/key').identityKey?.reveal()).toBe(LONG)
  })

  it('show nothing when printed, serialised or inspected', () => {
    const loaded = config(withToken('tokenEnv: TOKEN'), { TOKEN: LONG })
    const token = loaded.admin.tokens[0]?.token
    expect(
      `${token} ${JSON.stringify(loaded)} ${inspect(loaded, { depth: 9, showHidden: true })}`,
    ).not.toContain(LONG)
  })

  it('do not belong in the file, and the message tells where without repeating them', () => {
    const [problem, ...rest] = problems(withToken('token: hunter2'))
    expect(rest).toEqual([])
    expect(problem).toContain(
      'put it into an environment variable named by `tokenEnv`, or into a file named by `tokenFile`',
    )
    expect(problem).not.toContain('hunter2')
  })

  it.each([
    ['in place of a variable name', 'identityKeyEnv: hunter2-secret'],
    ['in place of a file name', 'identityKeyFile: hunter2-secret'],
    ['in a misspelt key', 'identitykeys: hunter2-secret'],
    ['in an address', 'store: { kind: redis, url: "redis://me:hunter2-secret@host:1" }'],
    ['in broken YAML', 'identityKey: "hunter2-secret\nx: ['],
  ])('are not repeated when they stand %s', (_, text) => {
    const found = problems(text).join('\n')
    expect(found).not.toBe('')
    expect(found).not.toContain('hunter2')
  })

  it('are needed, and long enough', () => {
    expect(problems(withToken('tokenEnv: TOKEN'))[0]).toContain('the environment variable TOKEN is not set')
    expect(problems(withToken('tokenEnv: TOKEN'), { TOKEN: 'short' })[0]).toContain('at least 24 are needed')
    expect(problems(withToken('tokenFile: /none'))[0]).toContain('cannot be read (ENOENT)')
    expect(problems(withToken('{}'))).not.toEqual([])
  })

  it('are given once', () => {
    const found = problems(withToken('tokenEnv: TOKEN\n      tokenFile: /run/key'), { TOKEN: LONG })
    expect(found).toEqual(['f.yaml:5: admin.tokens[0].tokenEnv: give `tokenEnv` or `tokenFile`, not both'])
  })
})
