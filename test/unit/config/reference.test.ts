import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import { jsonSchema, referencePage } from '../../../cli/config/reference.ts'
import { configSchema } from '../../../cli/config/schema.ts'

const root = new URL('../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
const REGENERATE = 'stale: run `npm run build && node dist/cli/main.js config reference --write`'
const samples = readdirSync(new URL('samples/config/', root)).filter((name) => name.endsWith('.yaml'))
const secrets = {
  env: (name: string) => `${name}-${'x'.repeat(40)}`,
  file: (path: string) => `${path}-${'x'.repeat(40)}`,
}
const validate = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false }).compile(
  JSON.parse(jsonSchema()) as object,
)

describe('generated reference', () => {
  it('docs/reference/configuration.md is what the schema says', () => {
    expect(read('docs/reference/configuration.md') === referencePage(), REGENERATE).toBe(true)
  })

  it('docs/reference/config.schema.json is what the schema says', () => {
    expect(read('docs/reference/config.schema.json') === jsonSchema(), REGENERATE).toBe(true)
  })

  it('every setting has a description', () => {
    const walk = (schema: Record<string, unknown>, path: string): string[] => {
      const own = typeof schema.description === 'string' && schema.description.length > 5 ? [] : [path]
      const properties = Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>)
      const variants = [
        ...((schema.anyOf ?? []) as Record<string, unknown>[]),
        ...(schema.items ? [schema.items] : []),
      ]
      return [
        ...(path.endsWith('*') ? [] : own),
        ...properties.flatMap(([key, item]) => walk(item, `${path}.${key}`)),
        ...variants.flatMap((item) => walk(item as Record<string, unknown>, `${path}*`)),
      ]
    }
    expect(walk(configSchema, '')).toEqual([])
  })
})

describe('samples', () => {
  it('there are some', () => expect(samples.length).toBeGreaterThanOrEqual(2))

  it.each(samples)('%s can be used, by the loader and by the JSON Schema', (name) => {
    const text = read(`samples/config/${name}`)
    const loaded = loadConfig(text, secrets)
    expect(loaded.ok ? problemLines(name, loaded.warnings) : problemLines(name, loaded.problems)).toEqual([])
    expect(validate(parse(text)), JSON.stringify(validate.errors)).toBe(true)
  })

  it.each([
    ['an unknown key', 'tennant: a'],
    ['a wrong word', 'logLevel: loud'],
    ['a number out of range', 'memory: { maxPrincipals: 1 }'],
    ['no secret', 'alerts: { channels: [{ kind: slack-webhook, name: a }] }'],
    [
      'two places for a secret',
      'alerts: { channels: [{ kind: slack-webhook, name: a, urlEnv: A, urlFile: b }] }',
    ],
    ['an unknown kind', 'store: { kind: rediss }'],
  ])('loader and JSON Schema agree in refusing %s', (_, text) => {
    expect(loadConfig(text, secrets).ok).toBe(false)
    expect(validate(parse(text))).toBe(false)
  })
})
