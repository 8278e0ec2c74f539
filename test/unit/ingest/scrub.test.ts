import { describe, expect, it } from 'vitest'
import { cutText, excerptOf, scrubText, showValue } from '../../../ingest/scrub.ts'

const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl'

describe('scrubbing', () => {
  it.each([
    ['"apikey":"s3cr3t"', 's3cr3t'],
    ['"X-Api-Key": ["s3cr3t"', 's3cr3t'],
    ['"set-cookie":"sid=s3cr3t; Path=/', 's3cr3t'],
    ['/x?access_token=s3cr3t&a=1', 's3cr3t'],
    ['/x?jwt=s3cr3t', 's3cr3t'],
    ['"password":"a\\"s3cr3t"', 's3cr3t'],
    ['Authorization: Bearer s3cr3tvalue', 's3cr3tvalue'],
    [`x ${JWT} y`, 'eyJ'],
    [`x ${JWT.slice(0, 15)}`, 'eyJ'],
    ['k 0123456789abcdef0123456789abcdef', '0123456789abcdef'],
    ['k wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLE', 'wJalr'],
    ['mail jo@example.test', 'jo@'],
  ])('%s', (text, secret) => {
    expect(scrubText(text)).not.toContain(secret)
  })

  it('leaves ordinary text alone', () => {
    const text = '"access-control-allow-credentials" GET /v1/orders/42/items "status":200'
    expect(scrubText(text)).toBe(text)
  })

  it('shows values short, on one line, without control characters', () => {
    expect(showValue('a\nb\u001b[31m\u202e')).toBe('a\\u000ab\\u001b[31m\\u202e')
    expect(showValue('x'.repeat(500))).toHaveLength(80)
    expect(showValue({ a: 1 })).toBe('{"a":1}')
  })

  it('cuts between characters', () => {
    expect(cutText('ab😀', 3)).toBe('ab')
    expect(excerptOf(Buffer.alloc(100_000, 'ab ')).length).toBe(512)
  })

  it('is not slowed down by hostile text', () => {
    for (const text of [
      'a@'.repeat(50_000),
      'token'.repeat(20_000),
      '"api'.repeat(20_000),
      `eyJ${'.'.repeat(90_000)}`,
    ]) {
      expect(scrubText(text).length).toBeLessThanOrEqual(60_000)
    }
  })
})
