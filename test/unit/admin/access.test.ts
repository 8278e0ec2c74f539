import { Type } from '@sinclair/typebox'
import { describe, expect, it } from 'vitest'
import { hostAllowed, isLoopback, originAllowed, roleAtLeast } from '../../../admin/access.ts'
import { problemFor } from '../../../admin/guard.ts'
import { type Problem, quoted } from '../../../admin/problem.ts'
import { strict } from '../../../admin/schemas.ts'
import { compileValidation } from '../../../admin/validation.ts'
import { CurfewError } from '../../../core/errors.ts'

describe('who may', () => {
  it('orders the roles', () => {
    expect(roleAtLeast('tuner', 'responder')).toBe(true)
    expect(roleAtLeast('viewer', 'responder')).toBe(false)
    expect(roleAtLeast('admin', 'admin')).toBe(true)
  })

  it('knows loopback, hosts and origins', () => {
    expect(['127.0.0.1', '127.8.0.9', '::1', 'localhost'].every(isLoopback)).toBe(true)
    expect(['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.evil.example'].some(isLoopback)).toBe(false)
    expect(hostAllowed('curfew.internal:8443', ['Curfew.internal'])).toBe(true)
    expect(hostAllowed('curfew.internal:8443', ['curfew.internal:443'])).toBe(false)
    expect(hostAllowed(undefined, ['curfew.internal'])).toBe(false)
    expect(originAllowed('https://curfew.internal', 'curfew.internal')).toBe(true)
    expect(originAllowed('https://curfew.internal@evil.example', 'curfew.internal')).toBe(false)
  })
})

describe('what is said about a mistake', () => {
  const body = compileValidation(
    strict({ a: Type.Object({ n: Type.Integer() }, { additionalProperties: false }) }),
    'body',
  )
  const refusal = (data: unknown) => {
    const result = body(data)
    return 'error' in result ? (result.error as Problem) : null
  }

  it('names field and value, cut and without control characters', () => {
    expect(refusal({ a: { n: 1.5 } })).toMatchObject({
      field: 'a.n',
      message: expect.stringContaining('"1.5"'),
    })
    expect(refusal({ a: { n: 1, x: 'y' } })).toMatchObject({ field: 'a.x' })
    expect(refusal({ a: {} })).toMatchObject({ field: 'a.n' })
    expect(refusal({ a: { n: '1' } })).toMatchObject({ field: 'a.n' })
    const long = refusal({ a: { n: `\u001b[31m${'x'.repeat(500)}` } })
    expect(long?.message).toContain('\\u001b')
    expect(long?.message.length).toBeLessThan(160)
    expect(refusal({ a: { n: 1 } })).toBeNull()
    expect(quoted('a\u202eb')).toBe('"a\\u202eb"')
  })

  it('keeps what went wrong inside to the log', () => {
    const retriable = problemFor(new CurfewError('STORE_UNREACHABLE', 'secret', { retriable: true }))
    expect(retriable).toMatchObject({ code: 'unavailable', status: 503 })
    const final = problemFor(new CurfewError('STORE_CORRUPT', 'secret'))
    expect(final).toMatchObject({ code: 'internal', status: 500 })
    expect(`${retriable.message}${final.message}${problemFor(new Error('secret')).message}`).not.toContain(
      'secret',
    )
  })
})
