import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import { parse } from 'yaml'

/** Kong's official OpenAPI description and plugin schemas, kept beside the repository (MIT, see SOURCE.txt there). */
const DIRECTORY = join(import.meta.dirname, '../../../shared/gateways/specs/kong')
const OPENAPI = join(DIRECTORY, 'kong-oss-admin-3.9.openapi.yaml')
const KONNECT = join(DIRECTORY, 'konnect-control-planes-config-v2.openapi.yaml')
const ADMIN_3_15 = join(DIRECTORY, 'kong-ee-admin-3.15.trimmed.openapi.json')
const PLUGIN_FILES = {
  'rate-limiting': 'RateLimiting.json',
  'request-termination': 'RequestTermination.json',
} as const

export type DescribedPlugin = keyof typeof PLUGIN_FILES

/** Says what is wrong with a request or an answer; null when nothing is. */
export interface KongDescription {
  request(method: string, path: string, body: unknown): string | null
  answer(path: string, status: number, body: unknown): string | null
  /** The configuration of a plugin. */
  config(name: DescribedPlugin, config: unknown): string | null
  /** What the server fills in. */
  defaults(name: DescribedPlugin): Record<string, unknown>
}

interface PluginSchema {
  readonly properties: {
    readonly config: { readonly properties: Record<string, { default?: unknown; type?: string }> }
  }
}

const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })

/** Kong takes and answers `null` for an unset field of a configuration, which the plugin schemas leave out. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== null)
      .map(([key, field]) => [key, withoutNulls(field)]),
  )
}

function wrong(validate: ValidateFunction, value: unknown, what: string): string | null {
  return validate(value) ? null : `${what}: ${ajv.errorsText(validate.errors)}`
}

function templateOf(path: string): string {
  if (path === '/' || path === '/plugins' || path === '/status') return path
  return /^\/plugins\/[^/]+$/.test(path) ? '/plugins/{plugin_id}' : 'unknown'
}

/** Konnect's description of the same plugins; the configurations are those of Kong 3.9. */
export function konnectDescription(): KongDescription | null {
  const own = kongDescription()
  if (own === null) return null
  const { paths, components } = parse(readFileSync(KONNECT, 'utf8'))
  const plugin = ajv.compile(components.schemas.Plugin)
  const templateFor = (path: string): string =>
    path
      .replace(/^\/v2\/control-planes\/[0-9a-f-]{36}\//, '/control-planes/{controlPlaneId}/')
      .replace(/plugins\/[^/]+$/, 'plugins/{PluginId}')
  return {
    ...own,
    request(method, path, value) {
      const operation = paths[templateFor(path)]?.[method.toLowerCase()]
      if (operation === undefined) return `${method} ${path} is not described`
      if (value === null)
        return operation.requestBody === undefined ? null : `${method} ${path} without a body`
      return wrong(plugin, value, `body of ${method} ${path}`)
    },
    answer(path, status, value) {
      if (status !== 200) return null
      const rows = path.endsWith('/plugins') ? (value as { data: unknown[] }).data : [value]
      return (
        rows.map((one) => wrong(plugin, one, `answer of ${path}`)).find((fault) => fault !== null) ?? null
      )
    },
  }
}

/** Null when the descriptions are not beside the repository. */
export function kongDescription(): KongDescription | null {
  if (!existsSync(OPENAPI)) return null
  const openapi = parse(readFileSync(OPENAPI, 'utf8'))
  // The 3.9 description gives paths and methods; its bodies are those of form fields (`consumer` a text),
  // against its own prose. The plugin entity of 3.15 has the same wire shape and states which fields may be null.
  const { required: _required, ...entity } = JSON.parse(readFileSync(ADMIN_3_15, 'utf8')).components.schemas
    .Plugin
  const patch = ajv.compile(entity)
  const row = ajv.compile({ ...entity, required: ['id', 'name', 'config'] })
  const body = ajv.compile({ ...entity, required: ['name', 'config'] })
  const schemas = Object.fromEntries(
    Object.entries(PLUGIN_FILES).map(([name, file]) => [
      name,
      JSON.parse(readFileSync(join(DIRECTORY, 'plugin-schemas-3.9', file), 'utf8')) as PluginSchema,
    ]),
  ) as Record<DescribedPlugin, PluginSchema>
  // Kong refuses unknown fields, which JSON Schema allows unless told.
  const configs = Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [
      name,
      ajv.compile({ ...schema.properties.config, additionalProperties: false }),
    ]),
  ) as Record<DescribedPlugin, ValidateFunction>
  return {
    request(method, path, value) {
      const operation = openapi.paths[templateOf(path)]?.[method.toLowerCase()]
      if (operation === undefined) return `${method} ${path} is not described`
      if (value === null)
        return operation.requestBody === undefined ? null : `${method} ${path} without a body`
      return wrong(method === 'PATCH' ? patch : body, value, `body of ${method} ${path}`)
    },
    answer(path, status, value) {
      const template = templateOf(path)
      const rows = template === '/plugins' ? (value as { data?: unknown[] } | null)?.data : [value]
      if (status !== 200 || !template.startsWith('/plugins')) return null
      if (!Array.isArray(rows)) return `${path} answered no page`
      return rows.map((one) => wrong(row, one, `answer of ${path}`)).find((fault) => fault !== null) ?? null
    },
    config: (name, value) => wrong(configs[name], withoutNulls(value), `config of ${name}`),
    defaults: (name) => defaultsOf(schemas[name].properties.config.properties),
  }
}

function defaultsOf(
  properties: Record<string, { default?: unknown; type?: string }>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(properties).map(([field, schema]) => {
      if (schema.default !== undefined) return [field, schema.default]
      const nested = (schema as { properties?: Record<string, { default?: unknown }> }).properties
      return [field, nested === undefined ? null : defaultsOf(nested)]
    }),
  )
}
