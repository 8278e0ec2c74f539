import { afterEach, describe, expect, it } from 'vitest'
import type { Scope } from '../../../core/decision.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import type { FakeAws } from '../../services/aws-fake.ts'
import { fakeAws, fakeAwsGateways } from '../../services/aws-rig.ts'

interface Policy {
  readonly policyDocument: { readonly Statement: readonly { readonly Effect: string }[] }
  readonly context?: { readonly curfewDecision: string }
}
type Handler = (event: object, context: object) => Promise<Policy>
interface Sample {
  withDenyList(authorizer: unknown, options: object): Handler
  dynamoTable(table: string | undefined, options?: object): (pk: string, prefix: string) => Promise<object[]>
}

const sample = (await import(
  new URL('../../../samples/aws/deny-list-authorizer.mjs', import.meta.url).href
)) as Sample
const never = new AbortController().signal
const NOW = Date.parse('2026-11-25T03:00:00Z')
const SECONDS = NOW / 1_000
const allow: Policy = { policyDocument: { Statement: [{ Effect: 'Allow' }] } }
const open: FakeAws[] = []
afterEach(async () => {
  for (const aws of open.splice(0)) await aws.stop()
})

const alice = { kind: 'sub', id: 'alice', label: 'alice', verified: true } as const
const rule = (id: string, action: Rule['action'], scope: Scope, more: Partial<Rule> = {}): Rule => ({
  id,
  action,
  scope,
  limit: null,
  until: wallTime(NOW + 60_000),
  ...more,
})

async function start(rules: readonly Rule[], failMode = 'open') {
  const aws = await fakeAws()
  open.push(aws)
  const [, gateway] = fakeAwsGateways(aws, 'aws')
  for (const one of rules) await gateway!.put(one, never)
  let asked = 0
  const own = async () => {
    asked++
    return allow
  }
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
  const ask = sample.dynamoTable('curfew-deny', {
    region: 'eu-central-1',
    endpoint: aws.url.origin,
    credentials,
    maxAttempts: 1,
  })
  const handler = sample.withDenyList(own, { ask, now: () => NOW, failMode })
  return { aws, handler, asked: () => asked }
}

function call(claims: object | null, apiKeyId?: string): object {
  const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
  return {
    methodArn: 'arn:aws:execute-api:eu-central-1:1:api/prod/GET/v1/orders',
    headers: claims === null ? {} : { AUTHORIZATION: `bearer e30.${payload}.c2ln` },
    requestContext: { identity: apiKeyId === undefined ? {} : { apiKeyId } },
  }
}

const token = { iss: 'https://id.example', sub: 'alice', jti: 'a/b"#', iat: SECONDS - 60, exp: SECONDS + 600 }
const revoked = rule('dec_1', 'revoke-token', { kind: 'token', iss: token.iss, jti: token.jti })
const since = rule('dec_2', 'revoke-token', {
  kind: 'subject',
  iss: token.iss,
  sub: 'alice',
  notBefore: SECONDS - 30,
})

describe('the Lambda authorizer of samples/aws', () => {
  it.each<[string, Rule[], object, string | null]>([
    ['a call that nothing is known of', [revoked], call({ ...token, jti: 'other' }), null],
    ['a revoked token', [revoked], call(token), 'dec_1'],
    ['the same identifier of another issuer', [revoked], call({ ...token, iss: 'https://b.example' }), null],
    ['an ended revocation', [{ ...revoked, until: wallTime(NOW - 1_000) }], call(token), null],
    ['a token issued before a revocation', [since], call(token), 'dec_2'],
    ['a token issued after it', [since], call({ ...token, iat: SECONDS - 10 }), null],
    ['a token that does not say when', [since], call({ ...token, iat: undefined }), 'dec_2'],
    [
      'a token without an identifier',
      [rule('dec_3', 'revoke-token', { kind: 'token-issue', iss: token.iss, sub: 'alice', iat: token.iat })],
      call({ ...token, jti: undefined }),
      'dec_3',
    ],
    [
      'a nameless token of a holder whose token is revoked',
      [{ ...revoked, holder: { kind: 'sub', id: 'alice' } }],
      call({ sub: 'alice' }),
      'dec_1',
    ],
    [
      'another good token of that holder',
      [{ ...revoked, holder: { kind: 'sub', id: 'alice' } }],
      call({ ...token, jti: 'new' }),
      null,
    ],
    ['a claim of the wrong type', [since], call({ ...token, iat: SECONDS - 10, jti: 7 }), 'dec_2'],
    [
      'a blocked caller',
      [rule('dec_4', 'block', { kind: 'principal', principal: alice })],
      call(token),
      'dec_4',
    ],
    [
      'a revoked API key without a token',
      [rule('dec_5', 'revoke-credential', { kind: 'credential', credential: 'k1', principal: alice })],
      call(null, 'k1'),
      'dec_5',
    ],
    ['neither token nor key', [revoked], call(null), null],
  ])('%s', async (_what, rules, event, decision) => {
    const { aws, handler, asked } = await start(rules)
    const answer = await handler(event, {})
    expect(answer.context?.curfewDecision ?? null).toBe(decision)
    expect(answer.policyDocument.Statement[0]?.Effect).toBe(decision === null ? 'Allow' : 'Deny')
    expect(asked()).toBe(decision === null ? 1 : 0)
    expect(aws.violations).toEqual([])
  })

  it.each([
    ['open', 'Allow'],
    ['closed', 'Deny'],
  ])('with failMode %s a table that cannot be read means %s', async (failMode, effect) => {
    const { aws, handler } = await start([revoked], failMode)
    await aws.fail('status-500')
    expect((await handler(call(token), {})).policyDocument.Statement[0]?.Effect).toBe(effect)
  })

  it('does not start without an authorizer behind it or without a table', () => {
    expect(() => sample.withDenyList(undefined, {})).toThrow(/your authorizer/)
    expect(() => sample.dynamoTable(undefined)).toThrow(/CURFEW_DENY_TABLE/)
    expect(() => sample.withDenyList(() => allow, { ask: () => [], failMode: 'maybe' })).toThrow(
      /open or closed/,
    )
  })
})
