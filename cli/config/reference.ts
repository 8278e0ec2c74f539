import type { TSchema } from '@sinclair/typebox'
import { configSchema } from './schema.ts'

/** Annotations that only the checker reads. */
const PRIVATE = new Set([
  'secretFor',
  'secretNeeds',
  'secretMinLength',
  'fileFor',
  'patternMeans',
  'mayHoldSecret',
  'isUrl',
  'unit',
])

/** The JSON Schema of the file, for editors: settings with a default are optional, units stand in the text. */
export function jsonSchema(): string {
  const document = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Curfew configuration',
    ...(publicSchema(configSchema) as object),
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

function publicSchema(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(publicSchema)
  if (typeof value !== 'object' || value === null) return value
  const schema = value as Record<string, unknown>
  const copy: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(schema)) {
    if (PRIVATE.has(key) && typeof item !== 'object') continue
    if (key === 'properties') copy[key] = mapValues(item as Record<string, unknown>, publicSchema)
    else if (key === 'required') copy[key] = (item as string[]).filter((name) => !hasDefault(schema, name))
    else copy[key] = key === 'default' || key === 'enum' ? item : publicSchema(item)
  }
  if (typeof schema.unit === 'string') copy.description = `${schema.description} Unit: ${schema.unit}.`
  const choices = requiredSecrets(schema)
  if (choices.length > 0) copy.allOf = choices
  return copy
}

function hasDefault(schema: Record<string, unknown>, name: string): boolean {
  return (schema.properties as Record<string, TSchema>)[name]?.default !== undefined
}

/** A required secret is named by exactly one of two keys. */
function requiredSecrets(schema: Record<string, unknown>): readonly object[] {
  const properties = Object.values((schema.properties ?? {}) as Record<string, TSchema>)
  const names = properties.flatMap((p) => (p.secretNeeds === 'required' ? [String(p.secretFor)] : []))
  return [...new Set(names)].map((name) => ({
    oneOf: [{ required: [`${name}Env`] }, { required: [`${name}File`] }],
  }))
}

function mapValues(object: Record<string, unknown>, change: (value: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]))
}

/** The reference page, in Markdown. */
export function referencePage(): string {
  const top = Object.entries(configSchema.properties as Record<string, TSchema>)
  const plain = top.filter(([, schema]) => !isGroup(schema))
  const groups = top.filter(([, schema]) => isGroup(schema))
  return [
    '# Configuration',
    '',
    'One YAML file. A key that is not listed here is an error. `curfew config check FILE` checks a file and',
    'names every problem with its line. Secrets never stand in the file: keys that end in `Env` name an',
    'environment variable, keys that end in `File` name a file (relative to the folder of the configuration).',
    '',
    '`config.schema.json` beside this page is the same as a JSON Schema for editors.',
    '',
    '> Generated from the schema in `cli/config`. Write it anew with `npm run build && node dist/cli/main.js config reference --write`.',
    '',
    '## Top level',
    '',
    ...table(plain.flatMap(([name, schema]) => rows(schema, name, false))),
    ...groups.flatMap(([name, schema]) => groupText(name, schema)),
    '',
  ].join('\n')
}

function isGroup(schema: TSchema): boolean {
  return schema.anyOf !== undefined || schema.type === 'object' || itemsOf(schema) !== null
}

/** The section that a list holds, or null for a list of plain values. */
function itemsOf(schema: TSchema): TSchema | null {
  const items = schema.items as TSchema | undefined
  return items !== undefined && (items.anyOf !== undefined || items.type === 'object') ? items : null
}

function groupText(name: string, schema: TSchema): readonly string[] {
  const items = itemsOf(schema)
  const start = items === null ? '' : ' A list.'
  const text = ['', `## \`${name}\``, '', `${schema.description}${start}${defaultText(schema)}`]
  const content = items ?? schema
  const kinds = content.anyOf as TSchema[] | undefined
  if (kinds === undefined) {
    return [
      ...text,
      ...(items === null ? [] : ['', content.description ?? '']),
      '',
      ...table(rows(content, '', true)),
    ]
  }
  return [...text, ...kinds.flatMap((kind) => kindText(name, kind))]
}

function kindText(name: string, schema: TSchema): readonly string[] {
  const { kind, ...rest } = schema.properties as Record<string, TSchema>
  return [
    '',
    `### \`${name}\`: kind \`${kind?.const}\``,
    '',
    schema.description ?? '',
    '',
    ...table(rows({ ...schema, properties: rest }, '', true)),
  ]
}

interface Row {
  readonly name: string
  readonly takes: string
  readonly fallback: string
  readonly meaning: string
}

/** Rows of a setting; a section inside becomes rows with dotted names. */
function rows(schema: TSchema, name: string, top: boolean): readonly Row[] {
  if (schema.type === 'object' && schema.properties !== undefined) {
    const required = new Set(schema.required as string[] | undefined)
    const own = top ? [] : [row(schema, name, false)]
    const inner = Object.entries(schema.properties as Record<string, TSchema>).flatMap(([key, property]) => {
      const path = name === '' ? key : `${name}.${key}`
      return rows(
        { ...property, isRequired: required.has(key) && property.default === undefined },
        path,
        false,
      )
    })
    return [...own, ...inner]
  }
  const items = itemsOf(schema)
  if (items === null) return [row(schema, name, schema.isRequired === true)]
  const variants = (items.anyOf as TSchema[] | undefined) ?? [items]
  return [
    row(schema, name, false),
    ...variants.flatMap((variant) => {
      const kind = variant.properties.kind?.const
      return rows(variant, kind === undefined ? `${name}[]` : `${name}[] (${kind})`, true)
    }),
  ]
}

function row(schema: TSchema, name: string, required: boolean): Row {
  const fallback = schema.default
  const nothing = schema.secretNeeds === 'required' ? 'one of the two' : required ? 'required' : ''
  const shownDefault =
    fallback === undefined || (typeof fallback === 'object' && !Array.isArray(fallback))
      ? nothing
      : `\`${JSON.stringify(fallback)}\``
  return { name, takes: takes(schema), fallback: shownDefault, meaning: schema.description ?? '' }
}

function takes(schema: TSchema): string {
  const unit = schema.unit === undefined ? '' : ` ${schema.unit}`
  if (schema.const !== undefined) return `\`${schema.const}\``
  if (Array.isArray(schema.enum)) return schema.enum.map((word: string) => `\`${word}\``).join(', ')
  if (schema.type === 'boolean') return '`true`, `false`'
  if (schema.type === 'integer' || schema.type === 'number')
    return `${schema.minimum} to ${schema.maximum}${unit}`
  if (schema.type === 'array') return itemsOf(schema) === null ? `list of: ${takes(schema.items)}` : 'list'
  if (schema.patternProperties !== undefined) return 'names and values'
  if (schema.type === 'object') return 'section'
  if (schema.fileFor !== undefined || (schema.secretFor !== undefined && schema.pattern === undefined))
    return 'file name'
  return schema.patternMeans ?? 'text'
}

function defaultText(schema: TSchema): string {
  const value = schema.default
  const isKind = typeof value === 'object' && value !== null && 'kind' in value
  return isKind ? ` Default: kind \`${String(value.kind)}\`.` : ''
}

function table(list: readonly Row[]): readonly string[] {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
  return [
    '| setting | takes | default | meaning |',
    '|---|---|---|---|',
    ...list.map(({ name, takes, fallback, meaning }) => {
      return `| \`${name}\` | ${cell(takes)} | ${cell(fallback)} | ${cell(meaning)} |`
    }),
  ]
}
