import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { checkedCall, checkResponse } from '../../../enforcement/grpc/check.ts'
import type { CheckRequest } from '../../../enforcement/grpc/envoy-messages.ts'
import { type GrpcPackages, loadGrpc } from '../../../enforcement/grpc/grpc-packages.ts'
import { limitResponse } from '../../../enforcement/grpc/rate-limit.ts'
import type { GrpcClient } from '../../services/grpc-client.ts'
import { type GrpcRig, NOW_S, STOP, startGrpcRig } from '../../unit/enforcement/grpc-rig.ts'

const JWT_AUTHN = 'envoy.filters.http.jwt_authn'
const odd = fc.constantFrom(
  '__proto__',
  'constructor',
  'toString',
  'authorization',
  'claims',
  'sub',
  JWT_AUTHN,
)
const word = fc.oneof(odd, fc.string({ unit: 'binary', maxLength: 8 }))
const claim = fc.oneof(
  fc.record({ stringValue: word }),
  fc.record({ numberValue: fc.double() }),
  fc.record({ nullValue: fc.constant(0) }),
  fc.constant({}),
)
const fields = fc.dictionary(word, claim, { maxKeys: 4 })
const checkRequest = fc.record({
  attributes: fc.record({
    source: fc.record({ address: fc.record({ socketAddress: fc.record({ address: word }) }) }),
    request: fc.record({
      http: fc.record(
        {
          headers: fc.dictionary(word, word, { maxKeys: 5 }),
          headerMap: fc.record({
            headers: fc.array(
              fc.record(
                { key: word, value: word, rawValue: fc.uint8Array({ maxLength: 8 }) },
                { requiredKeys: [] },
              ),
              { maxLength: 5 },
            ),
          }),
        },
        { requiredKeys: [] },
      ),
    }),
    metadataContext: fc.record({
      filterMetadata: fc.dictionary(
        word,
        fc.record({ fields: fc.dictionary(word, fc.record({ structValue: fc.record({ fields }) })) }),
        { maxKeys: 2 },
      ),
    }),
  }),
})
const limitRequest = fc.record({
  domain: word,
  descriptors: fc.array(
    fc.record({ entries: fc.array(fc.record({ key: word, value: word }), { maxLength: 4 }) }),
    { maxLength: 4 },
  ),
})

describe('questions over gRPC', () => {
  let rig: GrpcRig
  let client: GrpcClient
  let packages: GrpcPackages

  beforeAll(async () => {
    packages = await loadGrpc()
    rig = await startGrpcRig({ verifiedClaims: 'claims' }, { requireIdentity: false })
    client = await rig.client()
    const until = wallTime((NOW_S + 600) * 1_000)
    const principal = { kind: 'sub', id: 'alice', label: 'alice', verified: true } as const
    const scope = { kind: 'principal', principal } as const
    await rig.denyList.put({ id: 'dec_1', action: 'block', scope, limit: null, until }, STOP)
  })
  afterAll(() => rig.close())

  it('are read or refused whatever their bytes, and the endpoint goes on', async () => {
    const bytes = fc.uint8Array({ maxLength: 300 })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('check', 'limit'), bytes, async (method, message) => {
        expect(await client.send(method, Buffer.from(message))).toBeDefined()
      }),
      { numRuns: 300 },
    )
    const half = packages.authorization.Check.requestSerialize({
      attributes: { request: { http: { headers: { authorization: 'Bearer x' } } } },
    })
    for (let end = 0; end < half.length; end++)
      expect(await client.send('check', half.subarray(0, end))).toBeDefined()
  })

  it('keep every header, and give it only to its own name', () => {
    fc.assert(
      fc.property(
        checkRequest,
        word.filter((name) => name !== ''),
        (request, name) => {
          const { requestSerialize, requestDeserialize } = packages.authorization.Check
          const read = requestDeserialize(requestSerialize(request)) as CheckRequest
          const call = checkedCall(read, 'claims')
          const value = call.header(name)
          const { headers = {}, headerMap } = request.attributes.request.http
          const joined = Object.entries(headers).map(([key, text]) => ({ key, value: text }))
          const sent = [...joined, ...(headerMap?.headers ?? [])]
          const lower = name.toLowerCase()
          const known = sent.filter(({ key = '' }) => key.toLowerCase() === lower && lower === name)
          if (known.length === 0) expect(value).toBeNull()
          if (known.length > 1) expect(value).toBeUndefined()
          if (known.length === 1) expect(value).not.toBeNull()
          expect(call.verified).not.toBeUndefined()
        },
      ),
    )
  })

  it('never let a caller pass that the list refuses, whatever else they say', async () => {
    const alice = { sub: { stringValue: 'alice' }, exp: { numberValue: NOW_S + 60 } }
    await fc.assert(
      fc.asyncProperty(checkRequest, limitRequest, async (check, limit) => {
        const { filterMetadata } = check.attributes.metadataContext
        const claims = { fields: { claims: { structValue: { fields: alice } } } }
        const metadataContext = { filterMetadata: { ...filterMetadata, [JWT_AUTHN]: claims } }
        const answer = await client.check({ attributes: { ...check.attributes, metadataContext } })
        expect(answer.okResponse).toBeUndefined()
        expect(answer.deniedResponse?.status.code).toBeGreaterThanOrEqual(400)
        const descriptors = [...limit.descriptors, { entries: [{ key: 'jwt_sub', value: 'alice' }] }]
        expect((await client.limit({ domain: 'curfew', descriptors })).overallCode).toBe(2)
      }),
      { numRuns: 100 },
    )
  })

  it('are answered in a form that can be written', () => {
    const shown = fc.array(fc.tuple(word, word), { maxLength: 3 }).map((pairs) => pairs.flat())
    const status = fc.constantFrom(200, 400, 401, 403, 429, 431, 503)
    const wait = fc.option(fc.nat(), { nil: null })
    fc.assert(
      fc.property(limitRequest, shown, status, word, wait, (request, names, code, ruleId, seconds) => {
        const answer = { status: code, reason: 'blocked', ruleId, retryAfterSeconds: seconds } as const
        const reply = { answer, shown: names }
        const { authorization, rateLimit } = packages
        expect(() => authorization.Check.responseSerialize(checkResponse(reply))).not.toThrow()
        const limited = limitResponse(reply, request)
        expect(() => rateLimit.ShouldRateLimit.responseSerialize(limited)).not.toThrow()
      }),
    )
  })
})
