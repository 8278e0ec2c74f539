import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Google's generated description of the Apigee API, kept beside the repository (Apache-2.0, see SOURCE.txt there). */
const FILE = join(import.meta.dirname, '../../../shared/gateways/specs/apigee/apigee-v1.trimmed.json')

interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly enum?: readonly string[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
}

interface Method {
  readonly httpMethod: string
  readonly path: string
  readonly queryParams: readonly string[]
  readonly request: string
  readonly requestType: string
  readonly responseType: string
}

/** Checks requests and answers against the official description. */
export class ApigeeDescription {
  private readonly methods: readonly Method[]
  private readonly schemas: Readonly<Record<string, Schema>>

  private constructor(file: {
    readonly methods: Readonly<Record<string, Method>>
    readonly schemas: Readonly<Record<string, Schema>>
  }) {
    this.methods = Object.values(file.methods)
    this.schemas = file.schemas
  }

  /** Null when the description is not beside the repository. */
  static open(): ApigeeDescription | null {
    return existsSync(FILE) ? new ApigeeDescription(JSON.parse(readFileSync(FILE, 'utf8'))) : null
  }

  /** What is wrong with a request; null when nothing is. */
  request(httpMethod: string, url: URL, body: unknown): string | null {
    const at = `${httpMethod} ${url.pathname}`
    const method = this.methodOf(httpMethod, url)
    if (method === null) return `${at} is not described`
    const unknown = [...url.searchParams.keys()].find((name) => !method.queryParams.includes(name))
    if (unknown !== undefined) return `${at} with the query ${unknown}`
    if (body === null) return null
    if (method.request === '') return `${at} with a body`
    const name = method.request === '<request>' ? method.requestType : method.request
    return this.wrong({ $ref: `${name.charAt(0).toUpperCase()}${name.slice(1)}` }, body, at)
  }

  /** What is wrong with an answer; null when nothing is. */
  answer(httpMethod: string, url: URL, body: unknown): string | null {
    const method = this.methodOf(httpMethod, url)
    return method === null || body === null
      ? null
      : this.wrong({ $ref: method.responseType }, body, `answer to ${url.pathname}`)
  }

  private methodOf(httpMethod: string, url: URL): Method | null {
    const [path, verb] = url.pathname.slice(1).split(/:(?=[a-z]+$)/)
    const parts = path!.split('/')
    const fits = (method: Method): boolean => {
      const [template, wanted] = method.path.split(/:(?=[a-zA-Z]+$)/)
      const names = template!.split('/')
      return (
        method.httpMethod === httpMethod &&
        wanted === verb &&
        names.length === parts.length &&
        names.every((name, i) => (name.startsWith('{') ? parts[i] !== '' : name === parts[i]))
      )
    }
    return this.methods.find(fits) ?? null
  }

  private wrong(schema: Schema, value: unknown, at: string): string | null {
    if (schema.$ref !== undefined) {
      const target = this.schemas[schema.$ref]
      if (target === undefined)
        return schema.$ref === 'GoogleProtobufEmpty' ? null : `${at}: ${schema.$ref} is not described`
      return this.wrong({ type: 'object', ...target }, value, at)
    }
    const type = schema.type?.replace(/\(.*/, '')
    if (type === 'array') {
      if (!Array.isArray(value)) return `${at}: no list`
      for (const [i, item] of value.entries()) {
        const fault = this.wrong(schema.items ?? {}, item, `${at}[${i}]`)
        if (fault !== null) return fault
      }
      return null
    }
    if (type === 'integer') return Number.isInteger(value) ? null : `${at}: no whole number`
    if (type === 'string' && schema.enum !== undefined && !schema.enum.includes(String(value)))
      return `${at}: ${String(value)} is none of ${schema.enum.join()}`
    if (type === 'object' && schema.properties !== undefined) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return `${at}: no object`
      for (const [name, field] of Object.entries(value)) {
        const property = schema.properties[name]
        if (property === undefined) return `${at}: unknown field ${name}`
        const fault = this.wrong(property, field, `${at}.${name}`)
        if (fault !== null) return fault
      }
      return null
    }
    return type === undefined || type === 'object' || typeof value === type ? null : `${at}: no ${type}`
  }
}
