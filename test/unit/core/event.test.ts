import { describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import { entityId, type Principal, profileKey } from '../../../core/event.ts'
import { isoTime } from '../../../core/time.ts'

const alice: Principal = { kind: 'sub', id: 'u-1', label: 'alice', verified: true }

describe('the key of a profile', () => {
  it('follows the stable id, not the label', () => {
    expect(profileKey('t', alice)).toBe(profileKey('t', { ...alice, label: 'alice.smith' }))
    expect(profileKey('t', alice)).not.toBe(profileKey('t', { ...alice, id: 'u-2' }))
  })

  it('keeps tenants and kinds apart whatever text they contain', () => {
    expect(profileKey('t', alice)).not.toBe(profileKey('u', alice))
    expect(profileKey('t', alice)).not.toBe(profileKey('t', { ...alice, kind: 'consumer' }))
    expect(profileKey('a:sub', { ...alice, id: 'x' })).not.toBe(profileKey('a', { ...alice, id: 'sub:x' }))
  })

  it('is not what people see: outputs show the label', () => {
    expect(entityId(alice)).toBe('sub:alice')
  })
})

describe('isoTime', () => {
  it('is UTC with milliseconds', () => {
    expect(isoTime(Date.UTC(2026, 0, 2, 3, 4, 5, 6))).toBe('2026-01-02T03:04:05.006Z')
  })
})

describe('CurfewError', () => {
  it('is not retriable unless told so, and keeps its cause', () => {
    const cause = new Error('refused')
    const error = new CurfewError('STORE_UNREACHABLE', 'no answer', { cause })
    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE', retriable: false, name: 'CurfewError', cause })
    expect(error.retryAfterMs).toBeUndefined()
    expect(new CurfewError('LOG_FULL', 'full', { retriable: true, retryAfterMs: 5 }).retryAfterMs).toBe(5)
  })
})
