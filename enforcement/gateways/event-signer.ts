import { type CryptoKey, importPKCS8, SignJWT } from 'jose'
import { CurfewError } from '../../core/errors.ts'
import type { ASYMMETRIC_ALGORITHMS } from '../../core/signature-algorithms.ts'

export interface SigningKey {
  /** PKCS #8, PEM. */
  readonly pem: string
  readonly algorithm: (typeof ASYMMETRIC_ALGORITHMS)[number]
  /** Sent as `kid`; null for none. */
  readonly keyId: string | null
}

/** Signs claims as a compact JWT of a media type. Throws `CONFIG_INVALID` for a key that cannot be used. */
export type EventSigner = (claims: Readonly<Record<string, unknown>>, type: string) => Promise<string>

/** The signer with one key, which is read at the first signature. `name` is for messages. */
export function eventSigner(name: string, { pem, algorithm, keyId }: SigningKey): EventSigner {
  let imported: Promise<CryptoKey> | null = null
  return async (claims, type) => {
    imported ??= importPKCS8(pem, algorithm)
    let key: CryptoKey
    try {
      key = await imported
    } catch (cause) {
      const what = `${name}: the signing key is no PKCS #8 key for ${algorithm}`
      throw new CurfewError('CONFIG_INVALID', what, { cause })
    }
    const header = { alg: algorithm, typ: type, ...(keyId === null ? {} : { kid: keyId }) }
    return new SignJWT({ ...claims }).setProtectedHeader(header).sign(key)
  }
}
