import type { TSchema } from '@sinclair/typebox'
import { nearest } from './nearest.ts'
import { cut, type Problem, shown } from './problem.ts'
import { Secret } from './secret.ts'
import type { SecretReader } from './secret-reader.ts'
import type { ConfigEntry, ConfigNode } from './yaml-document.ts'

/** Checks a file against a schema of sections; collects every problem instead of stopping at the first. */
export class Checker {
  readonly problems: Problem[] = []
  /** Line of each setting that the file states, by path; used by the rules that look at several settings. */
  readonly lines = new Map<string, number>()
  readonly #secrets: SecretReader

  constructor(secrets: SecretReader) {
    this.#secrets = secrets
  }

  /** The value with defaults filled in and secrets read; meaningless when a problem was found. */
  check(schema: TSchema, node: ConfigNode | undefined, path: string, line: number): unknown {
    const given = node ?? fromDefault(schema.default, line)
    if (node !== undefined) this.lines.set(path, line)
    if (Array.isArray(schema.anyOf)) return this.#choice(schema, given, path, line)
    if (schema.type === 'object' && schema.patternProperties) return this.#record(schema, given, path, line)
    if (schema.type === 'object') return this.#section(schema, given, path, line, [])
    if (schema.type === 'array') return this.#list(schema, given, path, line)
    return this.#scalar(schema, given, path, line)
  }

  report(line: number, path: string, message: string): undefined {
    this.problems.push({ line, path, message })
    return undefined
  }

  /** One of several sections, told apart by `kind`. */
  #choice(schema: TSchema, node: ConfigNode, path: string, line: number): unknown {
    const options = schema.anyOf as TSchema[]
    const kinds = options.map((option) => String(option.properties.kind.const))
    if (node.kind !== 'map')
      return this.report(line, path, `${label(path)} must be a section with a \`kind\``)
    const entry = node.entries.get('kind')
    if (entry === undefined) {
      return this.report(line, path, `${label(path)} needs a \`kind\`: ${list(kinds)}`)
    }
    const value = entry.node.kind === 'scalar' ? entry.node.value : undefined
    const chosen = options[kinds.indexOf(String(value))]
    if (chosen === undefined) {
      const text = typeof value === 'string' ? value : ''
      return this.report(
        entry.line,
        join(path, 'kind'),
        `\`kind\` is ${describe(entry.node)}, allowed are ${list(kinds)}${hint(text, kinds)}`,
      )
    }
    const elsewhere = options.filter((option) => option !== chosen)
    return this.#section(chosen, node, path, line, elsewhere)
  }

  #section(
    schema: TSchema,
    node: ConfigNode,
    path: string,
    line: number,
    siblings: readonly TSchema[],
  ): unknown {
    // A section whose settings are all commented out is an empty section.
    const empty = node.kind === 'scalar' && node.value === null
    if (node.kind !== 'map' && !empty) {
      return this.report(line, path, `${label(path)} must be a section, not ${describe(node)}`)
    }
    const entries: ReadonlyMap<string, ConfigEntry> = node.kind === 'map' ? node.entries : new Map()
    const properties = schema.properties as Record<string, TSchema>
    for (const [key, entry] of entries) {
      if (!Object.hasOwn(properties, key)) this.#unknownKey(key, entry, path, properties, siblings)
    }
    const result: Record<string, unknown> = {}
    const secretNames = new Set<string>()
    for (const [key, property] of Object.entries(properties)) {
      const entry = entries.get(key)
      const at = entry?.line ?? line
      if (property.secretFor !== undefined) {
        secretNames.add(property.secretFor as string)
      } else if (property.fileFor !== undefined) {
        if (entry !== undefined)
          result[property.fileFor as string] = this.#fileText(property, entry, join(path, key))
      } else if (entry !== undefined || property.default !== undefined) {
        result[key] = this.check(property, entry?.node, join(path, key), at)
      } else if ((schema.required as string[] | undefined)?.includes(key)) {
        this.report(line, join(path, key), `${label(path)} needs \`${key}\`: ${property.description ?? ''}`)
      }
    }
    for (const name of secretNames) {
      const found = this.#secret(name, properties, entries, path, line)
      if (found !== undefined) result[name] = found
    }
    return result
  }

  #unknownKey(
    key: string,
    entry: ConfigEntry,
    path: string,
    properties: Record<string, TSchema>,
    siblings: readonly TSchema[],
  ): void {
    const where = path === '' ? 'the configuration' : `\`${path}\``
    const known = Object.keys(properties)
    const place = join(path, cut(key))
    // The value of an unknown key is never repeated: it may be a secret in the wrong place.
    if (known.includes(`${key}Env`)) {
      this.report(
        entry.line,
        place,
        `\`${cut(key)}\` is a secret and does not belong in this file: put it into an environment variable named by \`${key}Env\`, or into a file named by \`${key}File\``,
      )
      return
    }
    const kinds = siblings
      .filter((sibling) => Object.hasOwn(sibling.properties, key))
      .map((sibling) => String(sibling.properties.kind.const))
    const elsewhere = kinds.length > 0 ? ` (it belongs to kind ${list(kinds)})` : ''
    this.report(entry.line, place, `\`${cut(key)}\` is not known in ${where}${elsewhere || hint(key, known)}`)
  }

  #secret(
    name: string,
    properties: Record<string, TSchema>,
    entries: ReadonlyMap<string, ConfigEntry>,
    path: string,
    line: number,
  ): Secret | undefined {
    const keys = [`${name}Env`, `${name}File`] as const
    const given = keys.filter((key) => entries.has(key))
    const needs = properties[keys[0]]?.secretNeeds
    const [key] = given
    if (key === undefined) {
      if (needs === 'required') {
        this.report(line, join(path, keys[0]), `${label(path)} needs \`${keys[0]}\` or \`${keys[1]}\``)
      }
      return undefined
    }
    const entry = entries.get(key)!
    if (given.length > 1) {
      return this.report(entry.line, join(path, key), `give \`${keys[0]}\` or \`${keys[1]}\`, not both`)
    }
    const source = this.#scalar(
      { ...properties[key]!, mayHoldSecret: true },
      entry.node,
      join(path, key),
      entry.line,
    )
    if (typeof source !== 'string') return undefined
    this.lines.set(join(path, name), entry.line)
    return this.#readSecret(
      key === keys[0] ? 'env' : 'file',
      source,
      properties[key]!,
      join(path, key),
      entry.line,
    )
  }

  #readSecret(
    from: 'env' | 'file',
    source: string,
    schema: TSchema,
    path: string,
    line: number,
  ): Secret | undefined {
    const text = from === 'env' ? this.#secrets.env(source) : this.#readFile(source, path, line)
    if (text === undefined) {
      if (from === 'env') this.report(line, path, `the environment variable ${source} is not set`)
      return undefined
    }
    const value = text.replace(/\r?\n$/, '')
    const least = (schema.secretMinLength as number | undefined) ?? 1
    if (value.length < least) {
      const what = from === 'env' ? `the environment variable ${source}` : 'the file'
      return this.report(line, path, `${what} holds ${value.length} characters, at least ${least} are needed`)
    }
    return new Secret(value)
  }

  #fileText(schema: TSchema, entry: ConfigEntry, path: string): string | undefined {
    const source = this.#scalar(schema, entry.node, path, entry.line)
    return typeof source === 'string' ? this.#readFile(source, path, entry.line) : undefined
  }

  #readFile(source: string, path: string, line: number): string | undefined {
    try {
      return this.#secrets.file(source)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      const why = code ?? (error instanceof Error ? cut(error.message) : 'unknown reason')
      // The name itself is not repeated: it may be the secret, typed in the place of the file name.
      return this.report(line, path, `the file named here cannot be read (${why})`)
    }
  }

  #record(schema: TSchema, node: ConfigNode, path: string, line: number): unknown {
    if (node.kind !== 'map')
      return this.report(line, path, `${label(path)} must be a section of names and values`)
    const [valueSchema] = Object.values(schema.patternProperties as Record<string, TSchema>)
    const most = (schema.maxProperties as number | undefined) ?? 1_000
    if (node.entries.size > most) {
      return this.report(line, path, `${label(path)} has ${node.entries.size} entries, allowed are ${most}`)
    }
    const entries = [...node.entries].map(([key, entry]) => {
      if (key === '' || key.length > 2_048) {
        this.report(entry.line, path, 'a name here must have 1 to 2048 characters')
      }
      return [key, this.check(valueSchema!, entry.node, `${path}[${shown(key)}]`, entry.line)] as const
    })
    return Object.fromEntries(entries)
  }

  #list(schema: TSchema, node: ConfigNode, path: string, line: number): unknown {
    if (node.kind !== 'list')
      return this.report(line, path, `${label(path)} must be a list, not ${describe(node)}`)
    const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema
    if (node.items.length < minItems || node.items.length > maxItems) {
      return this.report(
        line,
        path,
        `${label(path)} has ${node.items.length} entries, allowed are ${minItems} to ${maxItems}`,
      )
    }
    const items = node.items.map((item, i) =>
      this.check(schema.items as TSchema, item, `${path}[${i}]`, item.line),
    )
    if (schema.uniqueItems === true && new Set(items).size < items.length) {
      this.report(line, path, `${label(path)} names something twice`)
    }
    return items
  }

  #scalar(schema: TSchema, node: ConfigNode, path: string, line: number): unknown {
    const value = node.kind === 'scalar' ? node.value : undefined
    const fault = scalarFault(schema, value)
    if (fault === null) return value
    const seen =
      schema.mayHoldSecret === true && typeof value === 'string' ? 'not what belongs here' : describe(node)
    return this.report(line, path, `${label(path)} is ${seen}, ${fault}`)
  }
}

/** What is wrong with a plain value, or null. */
function scalarFault(schema: TSchema, value: unknown): string | null {
  if (schema.const !== undefined) return value === schema.const ? null : `allowed is ${shown(schema.const)}`
  if (schema.type === 'boolean') return typeof value === 'boolean' ? null : 'allowed are true and false'
  if (schema.type === 'number' || schema.type === 'integer') return numberFault(schema, value)
  if (typeof value === 'number' || typeof value === 'boolean') return 'it must be text: put it in quotes'
  if (typeof value !== 'string') return 'it must be text'
  if (Array.isArray(schema.enum)) {
    return schema.enum.includes(value) ? null : `allowed are ${list(schema.enum)}${hint(value, schema.enum)}`
  }
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, patternMeans } = schema
  if (value.length < minLength || value.length > maxLength) {
    return `it has ${value.length} characters, allowed are ${minLength} to ${maxLength}`
  }
  const matches = pattern === undefined || new RegExp(pattern, 'u').test(value)
  if (!matches || (schema.isUrl === true && !URL.canParse(value))) return `allowed is ${patternMeans}`
  return null
}

function numberFault(schema: TSchema, value: unknown): string | null {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema
  const whole = schema.type === 'integer'
  const inRange = typeof value === 'number' && value >= minimum && value <= maximum
  if (inRange && (!whole || Number.isSafeInteger(value))) return null
  const unit = schema.unit === undefined ? '' : ` (${schema.unit})`
  return `allowed is a ${whole ? 'whole ' : ''}number from ${minimum} to ${maximum}${unit}`
}

/** A default of the schema in the shape of the file, so that it is checked and completed the same way. */
function fromDefault(value: unknown, line: number): ConfigNode {
  if (Array.isArray(value)) return { kind: 'list', line, items: value.map((item) => fromDefault(item, line)) }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(
      ([key, item]) => [key, { line, node: fromDefault(item, line) }] as const,
    )
    return { kind: 'map', line, entries: new Map(entries) }
  }
  const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return { kind: 'scalar', line, value: plain ? value : null }
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}

function label(path: string): string {
  return path === '' ? 'the configuration' : `\`${path}\``
}

function describe(node: ConfigNode): string {
  if (node.kind === 'map') return 'a section'
  if (node.kind === 'list') return 'a list'
  return node.value === null ? 'empty' : shown(node.value)
}

function list(options: readonly string[]): string {
  return options.map((option) => `\`${option}\``).join(', ')
}

function hint(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  return near === null ? '' : `; did you mean \`${near}\`?`
}
