import { jwtVerify, SignJWT } from 'jose'
import type { Clock } from '../../core/time.ts'
import { ISSUER } from './callers.ts'
import type { Claims } from './kong-line.ts'

/** The bearer token with these claims, as the issuer would sign it. */
export function signToken({ iss, sub, jti, iat, exp }: Claims, secret: Uint8Array): Promise<string> {
  return new SignJWT({ iss, sub, jti, iat, exp })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .sign(secret)
}

/** The claims of an `Authorization: Bearer` header, or null for a token that is not to be believed. */
export async function verifiedClaims(
  authorization: string | undefined,
  secret: Uint8Array,
  clock: Clock,
): Promise<Claims | null> {
  const text = /^Bearer ([^\s]{1,8192})$/i.exec(authorization ?? '')?.[1]
  if (text === undefined) return null
  try {
    const { payload } = await jwtVerify(text, secret, {
      algorithms: ['HS256'],
      issuer: ISSUER,
      requiredClaims: ['sub', 'jti', 'iat', 'exp'],
      currentDate: new Date(clock.now()),
    })
    const { sub, jti, iat, exp } = payload
    if (sub === undefined || jti === undefined || iat === undefined || exp === undefined) return null
    return { iss: ISSUER, sub, jti, iat, exp }
  } catch {
    // Whatever is wrong with it, the answer is the same 401.
    return null
  }
}
