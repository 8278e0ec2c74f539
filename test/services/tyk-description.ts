import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'

/** Tyk's official description of its gateway API (5.14.0, MPL-2.0), trimmed, kept beside the repository. */
const FILE = join(
  import.meta.dirname,
  '../../../shared/gateways/specs/tyk/tyk-gateway-api.trimmed.openapi.json',
)

/** Says what is wrong with a request or an answer; null when nothing is. */
export interface TykDescription {
  request(method: string, url: URL, body: unknown): string | null
  answer(method: string, url: URL, status: number, body: unknown): string | null
}

interface Operation {
  readonly parameters?: readonly { readonly in: string; readonly name: string; readonly schema: object }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >
}

const JSON_TYPE = 'application/json'

function templateOf({ pathname }: URL): string {
  return pathname.replace(/^\/tyk\/keys\/[^/]+$/, '/tyk/keys/{keyID}')
}

/** Null when the description is not beside the repository. */
export function tykDescription(): TykDescription | null {
  if (!existsSync(FILE)) return null
  const { paths, components } = JSON.parse(readFileSync(FILE, 'utf8'))
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, coerceTypes: false })
  // OpenAPI 3.0 says `nullable` beside a reference; ajv knows it beside a type only.
  const inline = JSON.parse(
    JSON.stringify({ components }).replaceAll('"type":"object","nullable":true', '"type":["object","null"]'),
  )
  // An unknown field is a misspelt one.
  inline.components.schemas.SessionState.additionalProperties = false
  ajv.addSchema(inline, 'tyk')
  const compiled = new Map<object, ValidateFunction>()
  const wrong = (schema: object, value: unknown, what: string): string | null => {
    const rooted = () => JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"tyk#/'))
    const validate = compiled.get(schema) ?? ajv.compile(rooted())
    compiled.set(schema, validate)
    return validate(value) ? null : `${what}: ${ajv.errorsText(validate.errors)}`
  }
  const operationOf = (method: string, url: URL): Operation | undefined =>
    paths[templateOf(url)]?.[method.toLowerCase()]
  return {
    request(method, url, body) {
      const what = `${method} ${templateOf(url)}`
      const operation = operationOf(method, url)
      if (operation === undefined) return `${what} is not described`
      for (const [name, text] of url.searchParams) {
        const known = operation.parameters?.find((one) => one.in === 'query' && one.name === name)
        if (known === undefined) return `${what}: query ${name} is not described`
        const value = text === 'true' ? true : text
        const fault = wrong(known.schema, value, `${what}: query ${name}`)
        if (fault !== null) return fault
      }
      const schema = operation.requestBody?.content[JSON_TYPE]?.schema
      if (schema === undefined) return body === null ? null : `${what} with a body`
      return wrong(schema, body, `body of ${what}`)
    },
    answer(method, url, status, body) {
      const what = `answer ${status} of ${method} ${templateOf(url)}`
      const response = operationOf(method, url)?.responses[String(status)]
      if (response === undefined) return `${what} is not described`
      const schema = response.content?.[JSON_TYPE]?.schema
      return schema === undefined ? null : wrong(schema, body, what)
    },
  }
}
