import { describe, expect, it } from 'vitest'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'

const secrets = { env: (name: string) => `${name}-${'x'.repeat(40)}`, file: () => 'x'.repeat(40) }

function check(text: string): { problems: string; warnings: string } {
  const loaded = loadConfig(text, secrets)
  return loaded.ok
    ? { problems: '', warnings: problemLines('f', loaded.warnings).join('\n') }
    : { problems: problemLines('f', loaded.problems).join('\n'), warnings: '' }
}

const source = (name: string, more: string) =>
  `  - { name: ${name}, format: kong, gateway: { kind: kong, id: eu }, ${more} }\n`

describe('rules over several settings', () => {
  it.each([
    ['redis without an address', 'store: { kind: redis }\nidentityKeyEnv: K', 'needs `url` or `nodes`'],
    [
      'redis with two',
      'store: { kind: redis, url: "redis://h:1", nodes: ["h:1"] }\nidentityKeyEnv: K',
      'not both',
    ],
    ['redis without an identity key', 'store: { kind: redis, url: "redis://h:1" }', 'needs `identityKeyEnv`'],
    ['hashed addresses without a key', 'privacy: { emails: hash }', 'without a key of your own'],
    [
      'planned work of nobody',
      'maintenance: [{ from: "2026-12-01T02:00Z", to: "2026-12-01T04:00Z", reason: x }]',
      'exactly one of `entity` and `group`',
    ],
    [
      'planned work of two',
      'maintenance: [{ entity: "consumer:a", group: g, from: "2026-12-01T02:00Z", to: "2026-12-01T04:00Z", reason: x }]',
      'exactly one of `entity` and `group`',
    ],
    [
      'planned work that ends before it begins',
      'maintenance: [{ entity: "consumer:a", from: "2026-12-01T02:00Z", to: "2026-12-01T02:00Z", reason: x }]',
      'ends before it begins',
    ],
    [
      'planned work on a day that is none',
      'maintenance: [{ entity: "consumer:a", from: "2026-13-01T02:00Z", to: "2026-12-01T02:00Z", reason: x }]',
      'no calendar knows',
    ],
    [
      'planned work without an end in sight',
      'maintenance: [{ entity: "consumer:a", from: "2026-12-01T02:00Z", to: "2027-12-01T02:00Z", reason: x }]',
      'longer than 90 days',
    ],
    ['slots that do not fill an hour', 'coverage: { slotSeconds: 7 }', 'an hour is no multiple'],
    ['kafka dead letters without kafka', 'deadLetters: { kind: kafka }', 'which is not kafka'],
    [
      'files and standard input',
      `sources:\n${source('a', 'kind: file, paths: [x], stdin: true')}`,
      'and not both',
    ],
    ['neither', `sources:\n${source('a', 'kind: file')}`, 'needs `paths` or `stdin: true`'],
    [
      'following standard input',
      `sources:\n${source('a', 'kind: file, stdin: true, follow: true')}`,
      'can be followed',
    ],
    [
      'standard input twice',
      `sources:\n${source('a', 'kind: file, stdin: true')}${source('b', 'kind: file, stdin: true')}`,
      'two sources read standard input',
    ],
    [
      'a kafka source without brokers',
      `sources:\n${source('a', 'kind: kafka, topics: [t]')}`,
      'needs `brokers`',
    ],
    [
      'reading its own topic',
      `log: { kind: kafka, brokers: ["h:1"] }\nsources:\n${source('a', 'kind: kafka, topics: [curfew.events]')}`,
      'reads the internal topic',
    ],
    [
      'a name used twice',
      `sources:\n${source('a', 'kind: file, paths: [x]')}${source('a', 'kind: file, paths: [y]')}`,
      'two entries named "a"',
    ],
    [
      'a port used twice',
      `sources:\n${source('a', 'kind: http, tokenEnv: A, listen: "127.0.0.1:8740"')}`,
      '`sources[0].listen` uses port 8740, and so does `admin.listen`',
    ],
    [
      'one token for two senders',
      `sources:\n${source('a', 'kind: http, tokenEnv: A')}${source('b', 'kind: http, tokenEnv: A')}`,
      'have the same token',
    ],
    ['an endpoint without a list', 'decisionEndpoint: {}', 'needs a gateway of kind decision'],
    [
      'gRPC for other machines without a token',
      'decisionEndpoint: { grpc: { listen: "0.0.0.0:8743" } }',
      '`decisionEndpoint.grpc` needs `tokenEnv` or `tokenFile`',
    ],
    [
      'gRPC on the port of HTTP',
      'decisionEndpoint: { grpc: { listen: "127.0.0.1:8742" } }',
      '`decisionEndpoint.grpc.listen` uses port 8742, and so does `decisionEndpoint.listen`',
    ],
    [
      'gRPC on a port that is none',
      'decisionEndpoint: { grpc: { listen: "127.0.0.1:87430" } }',
      '`decisionEndpoint.grpc.listen` is "127.0.0.1:87430"',
    ],
    [
      'two deny lists',
      'enforcement: { gateways: [{ name: a, kind: decision }, { name: b, kind: decision }] }',
      'one gateway of kind decision',
    ],
    [
      'revoking before throttling',
      'detection: { throttleSurprise: 9 }',
      'is below `detection.throttleSurprise`',
    ],
    ['a token without a value', 'admin: { tokens: [{ name: a, role: admin }] }', 'needs exactly one of'],
  ])('refuse %s', (_, text, message) => {
    expect(check(text).problems).toContain(message)
  })

  it.each([
    ['nothing to read', '', 'no source is configured'],
    ['nobody can sign in', '', 'nobody can sign in'],
    ['an open admin address', 'admin: { listen: "0.0.0.0:8740" }', 'can be reached from other machines'],
    [
      'a local store behind a shared log',
      'log: { kind: kafka, brokers: ["h:1"] }',
      'refuse more than one worker',
    ],
    [
      'a local journal before a shared store',
      'store: { kind: redis, url: "redis://h:1" }\nidentityKeyEnv: K',
      'one process only',
    ],
    ['acting nowhere', 'defaultMode: enforce', 'no gateway to act at'],
    [
      'a deny list that nobody asks',
      'enforcement: { gateways: [{ name: a, kind: decision }] }',
      'nothing asks',
    ],
    [
      'an endpoint that verifies nothing',
      'decisionEndpoint: {}\nenforcement: { gateways: [{ name: a, kind: decision }] }',
      'tokens are not verified',
    ],
    [
      'claims that one way alone verifies',
      `decisionEndpoint: { grpc: { verifiedClaims: claims } }
enforcement: { gateways: [{ name: a, kind: decision }] }`,
      'not throttled by it for those that ask over HTTP',
    ],
    [
      'gRPC on an open line',
      `decisionEndpoint: { grpc: { listen: "0.0.0.0:8743", tokenEnv: T } }
enforcement: { gateways: [{ name: a, kind: decision }] }`,
      '`decisionEndpoint.grpc.listen` can be reached from other machines',
    ],
    [
      'a token on an open line',
      'enforcement: { gateways: [{ name: k, kind: kong, adminUrl: "http://kong:8001", tokenEnv: T }] }',
      'travels unencrypted',
    ],
  ])('warn of %s', (_, text, message) => {
    expect(check(text).warnings).toContain(message)
  })

  it('let senders share one address when their tokens differ', () => {
    const text = `sources:\n${source('a', 'kind: http, tokenEnv: A')}${source('b', 'kind: http, tokenEnv: B')}`
    expect(check(text).problems).toBe('')
  })
})
