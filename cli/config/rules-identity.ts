import { createPrivateKey, type KeyObject } from 'node:crypto'
import { isLoopback } from './listen-address.ts'
import type { Reporter } from './problem.ts'
import type { Config } from './schema.ts'

/** Rules about identity providers and receivers of security events. */
export function checkIdentity({ enforcement }: Config, report: Reporter): void {
  for (const [i, gateway] of enforcement.gateways.entries()) {
    if (gateway.kind !== 'keycloak' && gateway.kind !== 'caep') continue
    const path = `enforcement.gateways[${i}]`
    const address = new URL(gateway.url)
    const isPlain = address.protocol === 'http:' && !isLoopback(address.hostname)
    if (isPlain && gateway.kind === 'keycloak')
      report.beware(`${path}.url`, 'the client secret travels unencrypted')
    if (gateway.kind !== 'caep') continue
    if (isPlain) report.beware(`${path}.url`, 'events, and the token of the receiver, travel unencrypted')
    const fault = keyFault(gateway.signingKey.reveal(), gateway.alg)
    if (fault !== null) report.no(`${path}.signingKey`, `\`${path}.signingKey\` ${fault}`)
  }
}

/** RFC 7518 section 3.3: an RSA key has 2,048 bits at least. */
const MIN_RSA_BITS = 2_048
const CURVES: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
}

function keyFault(pem: string, algorithm: string): string | null {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    return 'is no private key in PEM'
  }
  if (!pem.includes('-----BEGIN PRIVATE KEY-----'))
    return 'is no PKCS #8 key: see `openssl pkcs8 -topk8 -nocrypt`'
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key
  const curve = CURVES[algorithm]
  const fits =
    algorithm === 'EdDSA'
      ? type === 'ed25519'
      : curve === undefined
        ? type === 'rsa' && (details.modulusLength ?? 0) >= MIN_RSA_BITS
        : type === 'ec' && details.namedCurve === curve
  return fits ? null : `does not fit ${algorithm}`
}
