import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** AWS's official service models as botocore publishes them, kept beside the repository (Apache-2.0, see SOURCE.txt there). */
const DIRECTORY = join(import.meta.dirname, '../../../shared/gateways/specs/aws')
const FILES = {
  apigateway: 'apigateway-2015-07-09',
  cognito: 'cognito-idp-2016-04-18',
  dynamodb: 'dynamodb-2012-08-10',
  wafv2: 'wafv2-2019-07-29',
} as const

export type DescribedService = keyof typeof FILES

interface Member {
  readonly shape: string
  readonly location?: string
  readonly locationName?: string
}

interface Shape {
  readonly type: string
  readonly members?: Readonly<Record<string, Member>>
  readonly member?: Member
  readonly value?: Member
  readonly required?: readonly string[]
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly min?: number
  readonly max?: number
}

interface Model {
  readonly metadata: { readonly targetPrefix?: string }
  readonly shapes: Readonly<Record<string, Shape>>
  readonly operations: Readonly<
    Record<
      string,
      {
        readonly http: { readonly method: string; readonly requestUri: string }
        readonly input?: Member
        readonly output?: Member
      }
    >
  >
}

/** A request as it came over the wire. */
export interface WireRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: unknown
}

/** Which operation a request is, and its input. */
export interface Recognised {
  readonly operation: string
  readonly input: Readonly<Record<string, unknown>>
}

/** Checks requests and answers of one service against its official model. */
export class AwsDescription {
  private readonly model: Model

  private constructor(model: Model) {
    this.model = model
  }

  /** Null when the models are not beside the repository. */
  static of(service: DescribedService): AwsDescription | null {
    const path = join(DIRECTORY, `${FILES[service]}.trimmed.json`)
    return existsSync(path) ? new AwsDescription(JSON.parse(readFileSync(path, 'utf8')) as Model) : null
  }

  /** What is wrong with a request of an operation; null when nothing is. */
  request(operation: string, request: WireRequest): string | null {
    const described = this.model.operations[operation]
    if (described === undefined) return `${operation} is not described`
    if (described.http.method !== request.method) return `${operation} with method ${request.method}`
    const shape = this.model.shapes[described.input?.shape ?? '']
    if (shape === undefined) return null
    const input: Record<string, unknown> = {}
    const members = Object.entries(shape.members ?? {})
    const query = new Set(request.url.searchParams.keys())
    const labels = labelsOf(described.http.requestUri, request.url.pathname)
    if (labels === null) return `${operation} at ${request.url.pathname}`
    const bodyMembers = new Set<string>()
    for (const [name, { location, locationName = name }] of members) {
      if (location === 'uri') input[name] = labels.get(locationName)
      else if (location === 'querystring') {
        if (query.delete(locationName)) input[name] = request.url.searchParams.get(locationName)
      } else bodyMembers.add(name)
    }
    if (query.size > 0) return `${operation} with the query ${[...query].join()}`
    const body = (request.body ?? {}) as Record<string, unknown>
    for (const [name, value] of Object.entries(body)) {
      const member = members.find(([key, { locationName }]) => (locationName ?? key) === name)
      if (member === undefined || !bodyMembers.has(member[0])) return `${operation} with the field ${name}`
      input[member[0]] = value
    }
    return this.wrong(described.input?.shape ?? '', input, operation, true)
  }

  /** What is wrong with an answer; null when nothing is. */
  answer(operation: string, body: unknown): string | null {
    const output = this.model.operations[operation]?.output
    return output === undefined ? null : this.wrong(output.shape, body, `answer to ${operation}`, false)
  }

  /** `texts`: numbers and booleans of a path or query come as text. */
  private wrong(shapeName: string, value: unknown, at: string, texts: boolean): string | null {
    const shape = this.model.shapes[shapeName]
    if (shape === undefined || value === undefined) return null
    const scalar = texts && typeof value === 'string' ? parsedText(value, shape.type) : value
    switch (shape.type) {
      case 'structure':
        return this.wrongStructure(shape, value, at, texts)
      case 'list':
        if (!Array.isArray(value)) return `${at}: no list`
        return first(
          value.map((item, i) => this.wrong(shape.member?.shape ?? '', item, `${at}[${i}]`, false)),
        )
      case 'map':
        if (typeof value !== 'object' || value === null) return `${at}: no map`
        return first(
          Object.entries(value).map(([key, item]) =>
            this.wrong(shape.value?.shape ?? '', item, `${at}.${key}`, false),
          ),
        )
      case 'boolean':
        return typeof scalar === 'boolean' ? null : `${at}: no boolean`
      case 'integer':
      case 'long':
        return Number.isInteger(scalar) ? null : `${at}: no whole number`
      case 'float':
      case 'double':
        return typeof scalar === 'number' ? null : `${at}: no number`
      case 'string':
        return wrongText(shape, value, at)
      default:
        return null
    }
  }

  private wrongStructure(shape: Shape, value: unknown, at: string, texts: boolean): string | null {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return `${at}: no structure`
    const given = value as Readonly<Record<string, unknown>>
    const members = Object.entries(shape.members ?? {})
    const missing = (shape.required ?? []).find((name) => given[name] === undefined)
    if (missing !== undefined) return `${at}: ${missing} is missing`
    for (const [name, item] of Object.entries(given)) {
      const member = members.find(([key, { locationName = key }]) => key === name || locationName === name)
      if (member === undefined) return `${at}: unknown field ${name}`
      const fault = this.wrong(
        member[1].shape,
        item,
        `${at}.${name}`,
        texts && member[1].location !== undefined,
      )
      if (fault !== null) return fault
    }
    return null
  }
}

function wrongText(shape: Shape, value: unknown, at: string): string | null {
  if (typeof value !== 'string') return `${at}: no text`
  if (shape.enum !== undefined && !shape.enum.includes(value))
    return `${at}: ${value} is none of ${shape.enum.join()}`
  if (value.length < (shape.min ?? 0) || value.length > (shape.max ?? Number.POSITIVE_INFINITY))
    return `${at}: ${value.length} characters`
  return shape.pattern !== undefined && !new RegExp(`^(?:${shape.pattern})$`, 'u').test(value)
    ? `${at}: not of the pattern`
    : null
}

function parsedText(value: string, type: string): unknown {
  if (type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value
  return type === 'string' || value === '' ? value : Number(value)
}

function first(faults: readonly (string | null)[]): string | null {
  return faults.find((fault) => fault !== null) ?? null
}

function labelsOf(template: string, path: string): ReadonlyMap<string, string> | null {
  const [wanted, given] = [template.split('/'), path.split('/')]
  if (wanted.length !== given.length) return null
  const labels = new Map<string, string>()
  for (const [i, part] of wanted.entries()) {
    const name = /^\{(\w+)\}$/.exec(part)?.[1]
    if (name !== undefined && given[i] !== '') labels.set(name, decodeURIComponent(given[i]!))
    else if (part !== given[i]) return null
  }
  return labels
}
