/** JWS algorithms of public-key signatures (RFC 7518, RFC 8037): whoever verifies one holds no key that can sign. */
export const ASYMMETRIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const
