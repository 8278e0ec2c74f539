import type { TSchema } from '@sinclair/typebox'
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import { Problem, quoted } from './problem.ts'

/** Bodies are taken as they are; query and path values arrive as text and become what the schema says. */
const body = new Ajv({
  strict: true,
  verbose: true,
  allErrors: false,
  coerceTypes: false,
  useDefaults: false,
})
const text = new Ajv({ strict: true, verbose: true, allErrors: false, coerceTypes: true, useDefaults: true })

/** What Fastify asks of a compiled schema: the value, or the error to answer with. */
export type Validation = (data: unknown) => { value: unknown } | { error: Error }

/** Compiles the schema of one part of a request. */
export function compileValidation(schema: TSchema, part: string | undefined): Validation {
  const check: ValidateFunction = (part === 'body' ? body : text).compile(schema)
  return (data) => {
    if (check(data)) return { value: data }
    return { error: problemOf(check.errors?.[0], part ?? 'request') }
  }
}

/** Names the field and the value (cut, made visible) that a schema refused. */
function problemOf(error: ErrorObject | undefined, part: string): Problem {
  if (error === undefined) return new Problem('invalid', `${part} is invalid`)
  const params = error.params as Record<string, unknown>
  const parent = error.instancePath.slice(1).replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~')
  const within = (name: string) => quoted(parent === '' ? name : `${parent}.${name}`).slice(1, -1)
  if (error.keyword === 'additionalProperties') {
    const name = String(params.additionalProperty)
    const value = (error.data as Record<string, unknown>)[name]
    return new Problem(
      'invalid',
      `${part} has an unknown field ${quoted(name)} (${quoted(value)})`,
      within(name),
    )
  }
  if (error.keyword === 'required') {
    const name = String(params.missingProperty)
    return new Problem('invalid', `${part} lacks the field ${quoted(name)}`, within(name))
  }
  const field = parent === '' ? part : quoted(parent).slice(1, -1)
  const allowed = Array.isArray(params.allowedValues) ? `: ${params.allowedValues.join(', ')}` : ''
  const told =
    error.keyword === 'pattern' ? patternMessage(error) : `${error.message ?? 'is invalid'}${allowed}`
  return new Problem('invalid', `${field} ${told} (got ${quoted(error.data)})`, field)
}

function patternMessage(error: ErrorObject): string {
  const schema = error.parentSchema as { readonly description?: string } | undefined
  return schema?.description === undefined
    ? 'has a form that is not accepted'
    : `must be: ${schema.description}`
}
