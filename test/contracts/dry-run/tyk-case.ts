import { gatewaysOf } from '../../../cli/gateways.ts'
import { tykKeyId } from '../../../enforcement/gateways/tyk-client.ts'
import { FAKE_TYK_SECRET, FakeTyk } from '../../services/tyk-fake.ts'
import { asked, bytesOf, caller, configured, dryCase, noting, writesOf } from './benches.ts'

const KEY = 'canary-key-of-orders'

/** Tyk without hashed keys: the name of a key, and what else stands in its session, is secret. */
export const tykCase = dryCase('Tyk', async (folder) => {
  const tyk = new FakeTyk({ hashKeys: false })
  tyk.plant(KEY, {
    rate: 500,
    per: 60,
    hmac_string: 'canary-hmac',
    basic_auth_data: { password: 'canary-password' },
    meta_data: { note: 'canary-meta' },
  })
  await tyk.start()
  const gateway = { kind: 'tyk', name: 'edge', adminUrl: tyk.url.href, secretEnv: 'KEY', hashedKeys: false }
  const config = configured(folder, [gateway], { KEY: FAKE_TYK_SECRET })
  const { principal, whole } = caller('key', tykKeyId(KEY))
  return {
    config,
    live: gatewaysOf(config, {}, noting(tyk.wire)),
    asked: [
      asked('dec_a', 'throttle', whole, principal),
      asked('dec_b', 'block', whole, principal),
      asked('dec_b', 'block', whole, principal),
      asked('dec_c', 'release', whole, principal),
    ],
    secrets: [FAKE_TYK_SECRET, KEY, 'canary-hmac', 'canary-password', 'canary-meta'],
    state: async () => bytesOf([...tyk.keys]),
    writes: () => tyk.wire.filter((line) => line.startsWith('PUT ')).map(compared),
    words: (result) =>
      writesOf(result).flatMap((step) => {
        if (step.kind !== 'http') return []
        const { pathname, search } = new URL(step.url)
        return [compared(`${step.method} ${pathname}${search} ${step.body ?? ''}`)]
      }),
    unknownOffline: /only Tyk has their names/,
    close: () => tyk.stop(),
  }
})

/** A write without what a dry run hides. */
function compared(line: string): string {
  const [, asked = '', body = ''] = /^(\S+ \S+) (.*)$/s.exec(line) ?? []
  const { rate, per, is_inactive, access_rights, meta_data } = JSON.parse(body) as Readonly<
    Record<string, unknown>
  >
  const marks = (meta_data as Readonly<Record<string, unknown>>).curfew ?? null
  const where = asked.replace(KEY, tykKeyId(KEY))
  return JSON.stringify([where, rate, per, is_inactive, access_rights, marks])
}
