import { describe, expect, it } from 'vitest'
import { Mask } from '../../../enforcement/dry-run/mask.ts'

const SECRET = 'can"ary/secret\nline'
const mask = new Mask([SECRET, 'short', ''])

describe('secrets in what a dry run shows', () => {
  it.each([
    ['as they are', SECRET],
    ['in an address', encodeURIComponent(SECRET)],
    ['in JSON', JSON.stringify(SECRET).slice(1, -1)],
  ])('are taken out %s', (_, text) => {
    expect(mask.text(`a ${text} b ${text}`)).toBe('a *** b ***')
  })

  it('are hidden in headers by their names', () => {
    const headers = new Headers({
      authorization: 'Bearer short',
      'kong-admin-token': 'x',
      'x-api-key': 'y',
      accept: 'text/plain',
    })
    expect(mask.headers(headers)).toEqual({
      authorization: '***',
      'kong-admin-token': '***',
      'x-api-key': '***',
      accept: 'text/plain',
    })
  })

  it('are hidden in addresses before the host', () => {
    expect(mask.url('http://me:short@h.test/a@b')).toBe('http://***@h.test/a@b')
    expect(mask.url('http://h.test/a@b?c=d@e')).toBe('http://h.test/a@b?c=d@e')
  })

  it('are hidden in forms and in fields of JSON, however deep', () => {
    const form = 'grant_type=client_credentials&client_secret=x'
    expect(mask.body(form, 'application/x-www-form-urlencoded')).toBe(form.replace('=x', '=***'))
    const body = { config: [{ redis: { sentinel_password: 'x', password: null, host: 'h' } }] }
    const shown = mask.body(JSON.stringify(body), 'application/json')
    expect(JSON.parse(shown)).toEqual({
      config: [{ redis: { sentinel_password: '***', password: null, host: 'h' } }],
    })
  })

  it('leave everything else as it is, to the byte', () => {
    for (const body of [
      '{ "a" : 1 }',
      '{"password":"{vault://env/p}"}',
      '{"jti":"secret-of-others"}',
      'no JSON',
    ])
      expect(mask.body(body, 'application/json')).toBe(body)
  })
})
