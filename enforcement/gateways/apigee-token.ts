import { readFile } from 'node:fs/promises'
import { CurfewError } from '../../core/errors.ts'

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'

interface GoogleAuthorization {
  getAccessToken(): Promise<string | null | undefined>
}

/**
 * An access token from a file that something else renews: read before every call, since it is valid for an hour at
 * most. Throws `SECRET_MISSING` when there is none.
 */
export function tokenFromFile(name: string, path: string): () => Promise<string> {
  return async () => {
    let text: string
    try {
      text = (await readFile(path, 'utf8')).trim()
    } catch (cause) {
      throw new CurfewError('SECRET_MISSING', `${name}: the file of the access token cannot be read`, {
        retriable: true,
        cause,
      })
    }
    return usable(name, text)
  }
}

/**
 * Access tokens from Google's library, loaded with the first call; it renews them. `keyFile` names a service
 * account key or a workload identity configuration; null leaves the choice to the library.
 */
export function tokenFromGoogle(name: string, keyFile: string | null): () => Promise<string> {
  let opened: Promise<GoogleAuthorization> | null = null
  return async () => {
    opened ??= open(name, keyFile)
    const auth = await opened
    try {
      return usable(name, (await auth.getAccessToken()) ?? '')
    } catch (cause) {
      if (cause instanceof CurfewError) throw cause
      throw new CurfewError('GATEWAY_UNREACHABLE', `${name}: Google gave no access token`, {
        retriable: true,
        cause,
      })
    }
  }
}

async function open(name: string, keyFile: string | null): Promise<GoogleAuthorization> {
  let library: Readonly<Record<string, unknown>>
  try {
    library = (await import('google-auth-library')) as Readonly<Record<string, unknown>>
  } catch (cause) {
    const what = `${name}: google-auth-library is not installed: install it, or give \`accessTokenPath\``
    throw new CurfewError('CONFIG_INVALID', what, { cause })
  }
  const Auth = library.GoogleAuth as new (options: object) => GoogleAuthorization
  return new Auth({ scopes: [SCOPE], ...(keyFile === null ? {} : { keyFile }) })
}

function usable(name: string, token: string): string {
  if (/^[\x21-\x7e]{1,8192}$/.test(token)) return token
  throw new CurfewError('SECRET_MISSING', `${name}: there is no usable access token`, { retriable: true })
}
