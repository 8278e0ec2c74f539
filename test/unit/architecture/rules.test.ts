import { describe, expect, it, vi } from 'vitest'
import { RULES } from './rules.ts'
import { importsOf, viewsOf } from './source-text.ts'

/** Reading the whole repository takes as long as the machine is busy. */
vi.setConfig({ testTimeout: 60_000 })

type Fixture = readonly [path: string, text: string]

/** For each rule files that break it, and files that look like it and do not. */
const FIXTURES: Readonly<Record<string, { broken: readonly Fixture[]; fine: readonly Fixture[] }>> = {
  importsFollowArrows: {
    broken: [
      ['core/a.ts', "import { b } from '../ingest/b.ts'"],
      ['baseline/a.ts', "import type { b } from '../engine/b.ts'"],
      ['alerts/a.ts', "export { b } from '../enforcement/b.ts'"],
      ['engine/a.ts', "import { b } from '../enforcement/gateways/kong.ts'"],
      ['engine/a.ts', "import { b } from '../baseline/stores/redis-store.ts'"],
      ['admin/a.ts', "const b = await import('../cli/b.ts')"],
      ['detectors/a.ts', "import {\n  b,\n  c,\n} from '../enforcement/gateway.ts'"],
    ],
    fine: [
      ['core/a.ts', "import { b } from './b.ts'"],
      ['engine/a.ts', "import type { Rule } from '../enforcement/gateway.ts'"],
      ['cli/a.ts', "import { b } from '../enforcement/gateways/kong.ts'"],
      [
        'core/a.ts',
        "// import { b } from '../ingest/b.ts'\nconst text = \"import { b } from '../ingest/b.ts'\"",
      ],
    ],
  },
  importsNameFiles: {
    broken: [
      ['core/a.ts', "import { b } from './b'"],
      ['test/a.ts', "import { b } from '../core/b.js'"],
    ],
    fine: [
      ['core/a.ts', "import { b } from './b.ts'"],
      ['test/a.ts', "import { b } from '../scripts/b.mjs'"],
    ],
  },
  packagesHaveDoors: {
    broken: [
      ['ingest/a.ts', "import { Kafka } from 'kafkajs'"],
      ['baseline/stores/embedded-store.ts', "import { Redis } from 'ioredis'"],
      ['alerts/a.ts', "import fastify from 'fastify'"],
      ['detectors/a.ts', "import * as tf from '@tensorflow/tfjs'"],
      ['engine/a.ts', "import lodash from 'lodash'"],
      ['cli/a.ts', "import { parse } from 'yaml'"],
      ['engine/a.ts', "const pino = await import('pino')"],
    ],
    fine: [
      ['ingest/sources/kafka-client.ts', "import { Kafka } from 'kafkajs'"],
      ['core/a.ts', "import { createHash } from 'node:crypto'"],
      ['admin/routes/a.ts', "import type { FastifyInstance } from 'fastify'"],
      ['test/a.ts', "import lodash from 'lodash'"],
    ],
  },
  noCycles: {
    broken: [
      ['core/a.ts', "import type { B } from './b.ts'"],
      ['core/b.ts', "import { c } from './c.ts'"],
      ['core/c.ts', "import { a } from './a.ts'"],
    ],
    fine: [
      ['core/a.ts', "import { b } from './b.ts'\nimport { c } from './c.ts'"],
      ['core/b.ts', "import { c } from './c.ts'"],
      ['core/c.ts', 'export const c = 1'],
    ],
  },
  pureParts: {
    broken: [
      ['core/a.ts', 'const t = Date.now()'],
      ['detectors/a.ts', 'const t = new Date()'],
      ['engine/step.ts', 'const r = Math.random()'],
      ['baseline/a.ts', 'console.log(1)'],
      ['enforcement/plan.ts', 'setTimeout(f, 1)'],
      ['enforcement/guard.ts', 'export async function f() {}'],
      ['engine/a.ts', 'const text = `$' + '{process.env.HOME}`'],
    ],
    fine: [
      [
        'core/a.ts',
        "// Date.now() is banned\nconst text = 'Date.now()'\nconst d = new Date(ms).toISOString()",
      ],
      ['engine/worker.ts', 'export async function f() { await g() }'],
      ['baseline/store.ts', 'export interface A { get(): Promise<void> }'],
      ['enforcement/reconcile.ts', 'export async function f() {}'],
    ],
  },
  clockIsPassedIn: {
    broken: [
      ['alerts/a.ts', 'const t = Date.now()'],
      ['enforcement/a.ts', 'console.error(1)'],
    ],
    fine: [
      ['cli/a.ts', 'const t = Date.now()'],
      ['alerts/a.ts', 'const t = clock.now()'],
    ],
  },
  trafficStandsAlone: {
    broken: [
      ['bench/traffic/a.ts', "import { b } from '../../core/b.ts'"],
      ['bench/traffic/a.ts', "import type { B } from '../../detectors/b.ts'"],
      ['bench/traffic/a.ts', "import { seededRandom } from '../seeded-random.ts'"],
      ['bench/traffic/a.ts', "const b = await import('../../engine/b.ts')"],
      ['bench/traffic/a.ts', "import { mean } from 'simple-statistics'"],
    ],
    fine: [
      ['bench/traffic/a.ts', "import { b } from './b.ts'\nimport { gzipSync } from 'node:zlib'"],
      ['bench/replay.ts', "import { b } from '../core/b.ts'"],
    ],
  },
  trafficIsSeeded: {
    broken: [
      ['bench/traffic/a.ts', 'const t = Date.now()'],
      ['bench/traffic/a.ts', 'const r = Math.random()'],
      ['bench/traffic/a.ts', 'const home = process.env.HOME'],
      ['bench/traffic/a.ts', 'const id = randomUUID()'],
    ],
    fine: [
      ['bench/traffic/a.ts', 'const start = Date.UTC(2026, 9, 5)'],
      ['bench/latency.ts', 'const t = performance.now()'],
    ],
  },
  environmentInCliOnly: {
    broken: [
      ['ingest/a.ts', 'const home = process.env.HOME'],
      ['admin/a.ts', 'const { HOME } = process.env'],
    ],
    fine: [
      ['cli/a.ts', 'const home = process.env.HOME'],
      ['ingest/a.ts', '/** process.env is not read here */'],
    ],
  },
  filesAreShort: {
    broken: [['core/a.ts', 'x\n'.repeat(401)]],
    fine: [['core/a.ts', 'x\n'.repeat(400)]],
  },
  namesSaySomething: {
    broken: [
      ['core/utils.ts', ''],
      ['test/helpers/a.ts', ''],
      ['engine/lib/a.ts', ''],
      ['admin/manager.ts', ''],
      ['core/camelCase.ts', ''],
    ],
    fine: [
      ['core/time.ts', ''],
      ['test/unit/core/time.test.ts', ''],
      ['vitest.config.ts', ''],
    ],
  },
  noBarrels: {
    broken: [
      ['core/index.ts', "export * from './a.ts'"],
      ['core/b.ts', "export { a } from './a.ts'\nexport type {\n  C,\n} from './c.ts'\n"],
    ],
    fine: [['core/catalog.ts', "import { a } from './a.ts'\nexport const ALL = [a]"]],
  },
  typesAreKept: {
    broken: [
      ['core/a.ts', 'let a: any'],
      ['core/a.ts', 'const b = a as any'],
      ['core/a.ts', 'const b = new Map<string, any>()'],
      ['test/a.ts', '// @ts-ignore'],
      ['core/a.ts', '// @ts-expect-error'],
      ['core/a.ts', '// biome-ignore lint/suspicious/noExplicitAny'],
      ['core/a.ts', '// TODO later'],
    ],
    fine: [
      ['core/a.ts', "// any of them\nconst text = ': any'\nconst ok = list.any(1)"],
      ['core/a.ts', '// biome-ignore lint/x/y: control characters are what is looked for'],
      ['core/a.ts', 'const signal = AbortSignal.any([a, b])'],
    ],
  },
  interfacesAreDocumented: {
    broken: [
      ['core/a.ts', 'export interface A {}'],
      ['alerts/sink.ts', 'const a = 1\nexport function b() {}'],
    ],
    fine: [
      ['core/a.ts', '/** What A is. */\nexport interface A {}'],
      ['alerts/a.ts', 'export interface A {}'],
    ],
  },
}

describe('every rule was seen failing', () => {
  it('has fixtures for every rule', () => {
    expect(Object.keys(FIXTURES)).toEqual(Object.keys(RULES))
  })

  /** Each fixture by itself, except where it takes several files to break the rule. */
  const cases = (which: 'broken' | 'fine'): (readonly [string, readonly Fixture[]])[] =>
    Object.entries(FIXTURES).flatMap<readonly [string, readonly Fixture[]]>(([name, fixtures]) =>
      name === 'noCycles' ? [[name, fixtures[which]]] : fixtures[which].map((fixture) => [name, [fixture]]),
    )

  it.each(cases('broken'))('%s refuses %j', (name, fixture) => {
    expect(RULES[name]!(new Map(fixture))).toHaveLength(1)
  })

  it.each(cases('fine'))('%s accepts %j', (name, fixture) => {
    expect(RULES[name]!(new Map(fixture))).toEqual([])
  })

  it('names file and line', () => {
    expect(RULES.pureParts!(new Map([['core/a.ts', '\n\nconst t = Date.now()']]))).toEqual([
      'core/a.ts:3: not allowed in a pure part: Date.now',
    ])
  })
})

describe('the scanner', () => {
  it('tells code from strings, templates, comments and regular expressions', () => {
    const source = [
      "const a = 'x // no comment' // comment one",
      'const b = `t $' + '{f(`inner $' + '{g}`)} // text` /* comment two */',
      'const c = /[/"\'`]/.test(d) ? e / f / g : "\\"//"',
      'return /\\/\\//u',
    ].join('\n')
    const { code, comments } = viewsOf(source)
    expect(comments.replace(/\s+/g, ' ').trim()).toBe('// comment one /* comment two */')
    const expected = [
      'const a = ',
      'const b = $' + '{f( $' + '{g ) ',
      'const c = .test(d) ? e / f / g : ',
      'return ',
    ]
    expect(code.replace(/ +/g, ' ').split('\n')).toEqual(expected)
  })

  it('finds every kind of import', () => {
    const source = [
      "import './a.ts'",
      "import b, { type C } from './b.ts'",
      "import {\n  d,\n} from './d.ts'",
      "export { e } from './e.ts'",
      "const f = await import('./f.ts')",
      "const notOne = 'import x from y'",
    ].join('\n')
    const found = importsOf(viewsOf(source).statements).map(({ target, line }) => `${target}:${line}`)
    expect(found).toEqual(['./a.ts:1', './b.ts:2', './d.ts:5', './e.ts:6', './f.ts:7'])
  })
})
