import { describe, expect, it } from 'vitest'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import { aliasesOf } from '../../../cli/principal-aliases.ts'

const UUID = '6f1c2b3a-0000-4000-8000-000000000001'
const GATEWAYS = `
enforcement:
  gateways:
    - { kind: kong, name: kong-eu, adminUrl: "http://127.0.0.1:8001", onlyFor: [kong-log] }
    - { kind: haproxy, name: edge-2, sockets: [/a.sock, /b.sock], mapFolder: /maps }
    - { kind: aws, name: cloud, region: eu-central-1, denyTable: { table: deny } }
`
const KONG = `{ gateway: kong-eu, principal: "consumer:orders", id: ${UUID} }`
const EDGE = '{ gateway: edge-2, principal: "sub:orders-svc", issuer: "https://idp.test" }'
const entry = (members: readonly string[], more = '') =>
  `    - { name: orders, ${more} members: [${members.join(', ')}] }\n`
const file = (...entries: readonly string[]) => `${GATEWAYS}principals:\n  aliases:\n${entries.join('')}`

function load(text: string) {
  const loaded = loadConfig(text, { env: () => undefined, file: () => '' })
  const lines = problemLines('f', loaded.ok ? loaded.warnings : loaded.problems).join('\n')
  return { config: loaded.ok ? loaded.config : null, lines }
}

describe('callers with several names', () => {
  it('become names that adapters and settings know', () => {
    const loaded = load(
      file(entry([KONG, EDGE, '{ gateway: cloud, principal: "key:abc" }'], 'tenant: acme,')),
    )
    expect(loaded.lines).not.toMatch(/principals/)
    expect(aliasesOf(loaded.config!)).toEqual([
      {
        name: 'orders',
        tenant: 'acme',
        members: [
          {
            principal: { kind: 'consumer', id: UUID, label: 'orders', verified: true },
            subject: null,
            shownAs: ['consumer:orders'],
            adapters: ['kong-eu'],
            evidenceFrom: ['kong-log'],
          },
          {
            principal: {
              kind: 'sub',
              id: '["https://idp.test","orders-svc"]',
              label: 'orders-svc',
              verified: true,
            },
            subject: { iss: 'https://idp.test', sub: 'orders-svc' },
            shownAs: ['sub:orders-svc'],
            adapters: ['edge-2-1', 'edge-2-2'],
            evidenceFrom: null,
          },
          {
            principal: { kind: 'key', id: 'abc', label: 'abc', verified: true },
            subject: null,
            shownAs: ['key:abc'],
            adapters: ['cloud-deny'],
            evidenceFrom: null,
          },
        ],
      },
    ])
  })

  it('are known by the word that each source has for a subject', () => {
    const issuers = '{ "https://idp.test": idp, "https://b.test": b }'
    const source = `kind: file, paths: [x], format: canonical, gateway: { kind: haproxy, id: e }`
    const sources = `sources:\n  - { name: s, ${source}, principal: { issuers: ${issuers} } }\n`
    const { config, lines } = load(file(entry([KONG, EDGE])) + sources)
    expect(lines).not.toContain('sources')
    expect(aliasesOf(config!)[0]?.members[1]?.shownAs).toEqual(['sub:orders-svc', 'sub:idp/orders-svc'])
  })

  it.each([
    ['no names', [entry([])], '`principals.aliases[0].members`'],
    ['one name', [entry([EDGE])], '`principals.aliases[0].members`'],
    [
      'one name twice, at two gateways',
      [entry([EDGE, EDGE.replace('gateway: edge-2', 'gateway: cloud')])],
      '`principals.aliases[0]` has one name only, "sub:orders-svc"',
    ],
    [
      'the same line twice',
      [entry([KONG, EDGE, EDGE])],
      '`principals.aliases[0].members[2]` is "sub:orders-svc" for the second time',
    ],
    [
      'two entries of one name',
      [entry([KONG, EDGE]), entry(['{ principal: "app:a" }', '{ principal: "key:b" }'])],
      '`principals.aliases` has two entries named "orders"',
    ],
    [
      'a caller in two entries',
      [entry([KONG, EDGE]), entry([EDGE, '{ principal: "key:b" }']).replace('orders,', 'other,')],
      '`principals.aliases[1]` and `principals.aliases[0]` both have the name "sub:orders-svc of https://idp.test"',
    ],
    [
      'a gateway that is not there',
      [entry([KONG, EDGE.replace('edge-2', 'edge2')])],
      '`principals.aliases[0].members[1].gateway` is "edge2", and `enforcement.gateways` has none of that name; did you mean `edge-2`?',
    ],
    ['an address', [entry([KONG, '{ principal: "ip:203.0.113.9" }'])], 'addresses are nobody’s name'],
    [
      'a name without a kind',
      [entry([KONG, '{ principal: orders }'])],
      'a name of the kinds consumer, sub, app, key or account',
    ],
    [
      'a consumer at HAProxy',
      [entry([EDGE, '{ gateway: edge-2, principal: "consumer:orders" }'])],
      '`principals.aliases[0].members[1].principal` is "consumer:orders", but a gateway of kind haproxy knows callers as `sub:`',
    ],
    [
      'a Kong consumer without its id',
      [entry([EDGE, '{ gateway: kong-eu, principal: "consumer:orders" }'])],
      '`principals.aliases[0].members[1].id` is "": Kong needs the `id` of the consumer, a UUID',
    ],
    [
      'an issuer of a key',
      [entry([EDGE, '{ principal: "key:b", issuer: x }'])],
      '`principals.aliases[0].members[1].issuer` is "x", but "key:b" is no subject',
    ],
    [
      'an id of a subject',
      [entry([KONG, '{ principal: "sub:b", id: x }'])],
      '`principals.aliases[0].members[1].id` is "x": a subject is known by `issuer` and name',
    ],
    ['an unknown key', [entry([KONG, '{ principal: "sub:b", gatway: x }'])], 'gateway'],
  ])('refuses %s', (_, entries, expected) => {
    const { config, lines } = load(file(...entries))
    expect(lines).toContain(expected)
    expect(config).toBeNull()
  })

  it('refuses an address in a name where addresses are hashed', () => {
    const text = `${file(entry([KONG, '{ principal: "sub:a@b.example" }']))}privacy: { emails: hash }\n`
    expect(load(text).lines).toContain('is "sub:a@b.example", but with `privacy.emails: hash`')
  })

  it('lets a caller of another tenant have an equal name', () => {
    const other = entry([KONG, EDGE], 'tenant: globex,').replace('name: orders', 'name: other')
    expect(load(file(entry([KONG, EDGE]), other)).config).not.toBeNull()
  })

  it('warns of a mode that is about one name of several', () => {
    const text = `${file(entry([KONG, EDGE]))}modes: [{ principal: "sub:orders-svc", mode: enforce }]\n`
    expect(load(text).lines).toContain('`modes[0]` is about "sub:orders-svc", one of several names')
  })
})
