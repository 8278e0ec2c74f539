import { describe, expect, it } from 'vitest'
import { objectIdsInQuery, templateOf } from '../../../ingest/route-template.ts'

describe('the template of a path', () => {
  it.each([
    ['/', '/', []],
    ['', '/', []],
    ['/v1/orders', '/v1/orders', []],
    ['/v1/orders/', '/v1/orders', []],
    ['/v1/orders/42', '/v1/orders/{id}', ['42']],
    ['/v1/orders/42/items/7', '/v1/orders/{id}/items/{id}', ['42', '7']],
    ['/v2.1/oauth2/s3/sha256/ipv6', '/v2.1/oauth2/s3/sha256/ipv6', []],
    ['/u/8a4c1c1e-1111-4c0a-9b6a-5f1f1d1e0001', '/u/{id}', ['8a4c1c1e-1111-4c0a-9b6a-5f1f1d1e0001']],
    ['/u/01ARZ3NDEKTSV4RRFFQ69G5FAV', '/u/{id}', ['01ARZ3NDEKTSV4RRFFQ69G5FAV']],
    ['/u/507f1f77bcf86cd799439011', '/u/{id}', ['507f1f77bcf86cd799439011']],
    ['/u/dGhpcyBpcyBhIDEyMzQ1Ng==', '/u/{id}', ['dGhpcyBpcyBhIDEyMzQ1Ng==']],
    ['/days/2026-11-23/hours', '/days/{date}/hours', []],
    ['/u/jo.doe@example.test/mail', '/u/{email}/mail', ['jo.doe@example.test']],
    ['/orders/ORD-2026-000123', '/orders/{id}', ['ORD-2026-000123']],
    ['/orders/42.json', '/orders/{id}.json', ['42']],
    ['/orders/42:cancel', '/orders/{id}:cancel', ['42']],
    ['/orders/1,2,3', '/orders/{id}', ['1', '2', '3']],
    ['/orders/ids=1,2,3', '/orders/ids={id}', ['1', '2', '3']],
    ['/orders/%34%32', '/orders/{id}', ['42']],
    ['/a/./b//c/../42', '/a/b/{id}', ['42']],
    ['/a/%2e%2e/42', '/{id}', ['42']],
    ['/a/%zz/42', '/a/%zz/{id}', ['42']],
    ['/a/{id}', '/a/%7Bid%7D', []],
    ['/a/b,c', '/a/b,c', []],
  ])('%s is %s', (path, route, ids) => {
    expect(templateOf(path)).toEqual({ route, objectIds: ids })
    expect(templateOf(path)).toEqual({ route, objectIds: ids })
  })

  it('is bounded', () => {
    expect(templateOf(`/a${'/b'.repeat(500)}`).route).toBe(`/a${'/b'.repeat(11)}/{more}`)
    expect(templateOf(`/${'x'.repeat(2_000)}`)).toEqual({ route: '/{long}', objectIds: ['x'.repeat(128)] })
    expect(templateOf(`/${Array.from({ length: 900 }, (_, i) => i).join(',')}`).objectIds).toHaveLength(512)
  })
})

describe('objects named in a query', () => {
  it.each([
    ['page=1&limit=50', []],
    ['id=5', ['5']],
    ['ids=1,2,3&x=1', ['1', '2', '3']],
    ['order_id=5&customerId=7&width=3&valid=1', ['5', '7']],
    ['ids[]=1&ids[]=2', ['1', '2']],
    ['id=%31%32', ['12']],
  ])('%s', (query, ids) => {
    expect(objectIdsInQuery(query)).toEqual(ids)
  })
})
