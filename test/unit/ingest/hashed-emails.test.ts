import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { eventTime } from '../../../core/time.ts'
import { hashEmails, withHashedEmails } from '../../../ingest/hashed-emails.ts'
import { withoutSecrets } from '../../../ingest/kept-text.ts'

const KEY = new TextEncoder().encode('k'.repeat(40))
const MAIL = 'alice.liddell@corp.example'

function event(changes: Partial<AccessEvent> = {}): AccessEvent {
  return {
    id: '7',
    time: eventTime(Date.UTC(2026, 8, 7)),
    receivedAt: Date.UTC(2026, 8, 7),
    tenant: 'default',
    principal: { kind: 'consumer', id: 'c-1', label: 'orders', verified: true },
    parents: [],
    token: null,
    credential: null,
    clientIp: null,
    userAgent: null,
    method: 'GET',
    route: '/v1/orders',
    path: '/v1/orders',
    objectIds: [],
    status: 200,
    latencyMs: null,
    requestBytes: null,
    responseBytes: null,
    records: null,
    recordsFrom: 'none',
    refusedBy: null,
    gateway: { kind: 'kong', id: 'edge' },
    source: { topic: 't', partition: 0, offset: 7, index: 0 },
    ...changes,
  }
}

describe('an e-mail address', () => {
  it('is in no member of an event that may be stored, whichever members held it', () => {
    const full = event({
      id: MAIL,
      tenant: MAIL,
      principal: { kind: 'sub', id: JSON.stringify([MAIL, MAIL]), label: `partner/${MAIL}`, verified: true },
      parents: [`org:${MAIL}`, `app:${MAIL}`],
      token: { iss: MAIL, sub: MAIL, jti: MAIL, iat: 1, exp: 2, scopes: [MAIL] },
      credential: MAIL,
      userAgent: `agent (${MAIL})`,
      method: MAIL,
      route: `/v1/users/${MAIL}`,
      path: `/v1/users/${MAIL}`,
      objectIds: [MAIL],
      gateway: { kind: 'kong', id: MAIL },
    })
    const kept = withoutSecrets(withHashedEmails(full, KEY))
    expect(JSON.stringify(kept)).not.toMatch(/alice|liddell|corp\.example|@/)
    const hash = hashEmails(MAIL, KEY)
    expect(kept.principal).toEqual({
      kind: 'sub',
      id: JSON.stringify([hash, hash]),
      label: `partner/${hash}`,
      verified: true,
    })
    expect(kept.parents).toEqual([`org:${hash}`, `app:${hash}`])
    expect(kept.token).toMatchObject({ iss: hash, sub: hash, jti: hash })
  })

  it('leaves an event without one as it is', () => {
    expect(withHashedEmails(event(), KEY)).toEqual(event())
    for (const name of ['orders@2', 'a@b', '@team', 'svc@', 'x @ y.z'])
      expect(hashEmails(name, KEY), name).toBe(name)
  })

  it.each([
    ['case', 'Alice.Liddell@CORP.example'],
    ['an escaped at sign', 'alice.liddell%40corp.example'],
    ['wide characters', 'alice.liddell＠corp．example'],
    ['a character that nobody sees', 'alice.liddell@cor\u200bp.example'],
  ])('is the same in another spelling: %s', (_, spelt) => {
    expect(hashEmails(spelt, KEY)).toBe(hashEmails(MAIL, KEY))
  })

  it.each([
    'müller@firma.example',
    'bob@münchen.example',
    '"john doe"@corp.example',
    JSON.stringify(['https://idp.test', '"john doe"@corp.example']),
    'bounce+bob=corp.example@lists.example',
    'bob@my_host.corp.example',
    'bob@[192.0.2.7]',
    `${'b'.repeat(120)}@corp.example`,
    'CN=Bob,emailAddress=bob@corp.example,O=Corp',
    'mailto:bob@corp.example?subject=x',
    'bob@a.b.c.d.e.f.g.h.i.j.k.example',
  ])('is found in %s', (text) => {
    const hashed = hashEmails(text, KEY)
    expect(hashed).toMatch(/mail-[0-9a-f]{16}/)
    expect(hashed).not.toMatch(/@|bob|john|doe|müller|firma|münchen|corp\.|example/)
  })

  it('has another hash for everybody else, and under another key', () => {
    const hash = hashEmails(MAIL, KEY)
    expect(hash).toMatch(/^mail-[0-9a-f]{16}$/)
    expect(hashEmails('bob@corp.example', KEY)).not.toBe(hash)
    expect(hashEmails(MAIL, new TextEncoder().encode('o'.repeat(40)))).not.toBe(hash)
  })

  it('costs time in proportion to the text only', () => {
    const hostile = `${'a'.repeat(5_000)}@${'b-'.repeat(2_000)}%40${'@.'.repeat(2_000)}`
    expect(hashEmails(hostile, KEY).length).toBeGreaterThan(1_000)
  })
})
