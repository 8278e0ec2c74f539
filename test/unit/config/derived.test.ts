import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { configHash } from '../../../cli/config/config-hash.ts'
import { adminTokens, engineSettings, sourceSettings } from '../../../cli/config/engine-input.ts'
import { isLoopback, listenAddress } from '../../../cli/config/listen-address.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import { nearest } from '../../../cli/config/nearest.ts'
import type { Config } from '../../../cli/config/schema.ts'
import { hashEmails } from '../../../ingest/hashed-emails.ts'

function config(text: string, secret = 'x'.repeat(40)): Config {
  const loaded = loadConfig(text, { env: () => secret, file: () => secret })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.config
}

describe('configHash', () => {
  it('depends on neither the order of keys nor on defaults that are written out', () => {
    const a = config('tenant: a\nlogLevel: info')
    const b = config('logLevel: info\ntenant: a\nstore: { kind: embedded }')
    expect(configHash(a)).toBe(configHash(b))
    expect(configHash(a)).toMatch(/^[0-9a-f]{64}$/)
  })

  it('changes with any setting, not with a secret', () => {
    const base = configHash(config('identityKeyEnv: K'))
    expect(configHash(config('identityKeyEnv: K', 'y'.repeat(50)))).toBe(base)
    expect(configHash(config('identityKeyEnv: K\ndetection: { holdSeconds: 61 }'))).not.toBe(base)
  })
})

describe('what the engine gets', () => {
  it('the default mode is the least specific rule', () => {
    const settings = engineSettings(
      config('defaultMode: approve\nmodes: [{ action: throttle, mode: enforce }]'),
    )
    expect(settings.modes).toEqual([{ action: 'throttle', mode: 'enforce' }, { mode: 'approve' }])
  })

  it('exceptions of the file do not expire', () => {
    const settings = engineSettings(config('allow: [{ entity: "consumer:backup", reason: nightly }]'))
    expect(settings.allow).toEqual([
      { tenant: 'default', entity: 'consumer:backup', reason: 'nightly', expires: null },
    ])
  })

  it('names callers as their events do where addresses are hashed', () => {
    const settings = engineSettings(
      config(`identityKeyEnv: K
privacy: { emails: hash }
modes: [{ principal: "consumer:Bob@corp.example", mode: observe }]
allow: [{ entity: "consumer:bob@corp.example", reason: nightly }]`),
    )
    const hash = hashEmails('bob@corp.example', new TextEncoder().encode('x'.repeat(40)))
    expect(settings.modes[0]).toEqual({ principal: `consumer:${hash}`, mode: 'observe' })
    expect(settings.allow[0]?.entity).toBe(`consumer:${hash}`)
  })

  it('a source has the tenant of the file unless it names its own', () => {
    const text = (more: string) =>
      `tenant: acme\nsources: [{ name: a, kind: file, format: kong, stdin: true, gateway: { kind: kong, id: eu }${more} }]`
    const settings = (more: string) => {
      const loaded = config(text(more))
      return sourceSettings(loaded, loaded.sources[0]!)
    }
    expect(settings('').tenant).toBe('acme')
    expect(settings(', tenant: other').tenant).toBe('other')
    expect(
      settings(', principal: { issuers: { "https://id": ours } }').principal.issuers.get('https://id'),
    ).toBe('ours')
    expect(settings('').records).toEqual({
      headers: ['x-records-returned'],
      contentRange: true,
      field: null,
      bytesPerRecord: null,
    })
  })

  it('admin tokens arrive hashed', () => {
    const sha256 = createHash('sha256').update('x'.repeat(40)).digest('hex')
    const other = 'a'.repeat(64)
    const text = `admin: { tokens: [{ name: a, role: viewer, tokenEnv: T }, { name: b, role: admin, sha256: "${other}" }] }`
    expect(adminTokens(config(text))).toEqual([
      { name: 'a', role: 'viewer', sha256 },
      { name: 'b', role: 'admin', sha256: other },
    ])
  })
})

describe('nearest', () => {
  it.each([
    ['tennant', 'tenant'],
    ['falseAlarmBugdet', 'falseAlarmBudget'],
    ['TENANT', 'tenant'],
    ['zzz', null],
    ['x'.repeat(10_000), null],
  ])('%s', (word, expected) => {
    expect(nearest(word, ['tenant', 'falseAlarmBudget', 'sources'])).toBe(expected)
  })
})

describe('listenAddress', () => {
  it.each([
    ['127.0.0.1:8740', { host: '127.0.0.1', port: 8740 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    ['localhost:65536', null],
  ])('%s', (text, expected) => expect(listenAddress(text)).toEqual(expected))

  it.each([
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['127.0.0.1.evil.example', false],
  ])('%s is loopback: %s', (host, expected) => expect(isLoopback(host)).toBe(expected))
})
