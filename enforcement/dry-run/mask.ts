/** What stands for a secret. */
export const HIDDEN = '***'

const SECRET_HEADERS =
  /^(authorization|proxy-authorization|cookie|kong-admin-token|x-api-key|x-tyk-authorization|x-amz-security-token)$/i
const SECRET_FIELDS =
  /^(.*_)?(password|secret|passphrase|private_?key|access_token|refresh_token|id_token|client_assertion)$/i
/** A shorter text stands in too many words to be taken out wherever it occurs; headers are hidden by their name. */
const MIN_SECRET = 6

/** Takes secrets out of what is shown: by where they stand, and the configured ones wherever they occur. */
export class Mask {
  readonly #secrets: readonly string[]

  /** `secrets` are the texts that must not be shown, in clear. */
  constructor(secrets: readonly string[]) {
    const forms = secrets
      .map((secret) => secret.trim())
      .filter((secret) => secret.length >= MIN_SECRET)
      .flatMap((secret) => [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])
    this.#secrets = [...new Set(forms)].sort((a, b) => b.length - a.length)
  }

  text(text: string): string {
    return this.#secrets.reduce((masked, secret) => masked.replaceAll(secret, HIDDEN), text)
  }

  headers(headers: Headers): Readonly<Record<string, string>> {
    const shown = [...headers].map(([name, value]) => [
      name,
      SECRET_HEADERS.test(name) ? HIDDEN : this.text(value),
    ])
    return Object.fromEntries(shown)
  }

  /** Without what precedes the host, where a password may stand. */
  url(text: string): string {
    return this.text(text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#@]*@/i, `$1${HIDDEN}@`))
  }

  /** A body of a media type; the same text where nothing in it is secret. */
  body(body: string, type: string): string {
    if (type.startsWith('application/x-www-form-urlencoded')) {
      const fields = [...new URLSearchParams(body)]
      return this.text(
        fields.map(([name, value]) => `${name}=${SECRET_FIELDS.test(name) ? HIDDEN : value}`).join('&'),
      )
    }
    return this.text(type.includes('json') ? this.#json(body) : body)
  }

  /** A value as it is shown: secret fields of any depth hidden. */
  value(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value)
    if (Array.isArray(value)) return value.map((item) => this.value(item))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([field, inner]) => [
        field,
        isSecret(field, inner) ? HIDDEN : this.value(inner),
      ]),
    )
  }

  #json(body: string): string {
    let parsed: unknown
    try {
      parsed = JSON.parse(body)
    } catch {
      return body
    }
    const masked = JSON.stringify(this.value(parsed))
    return masked === JSON.stringify(parsed) ? body : masked
  }
}

function isSecret(field: string, value: unknown): boolean {
  if (!SECRET_FIELDS.test(field) || value === null || value === '') return false
  // A reference says where a secret is, not what it is.
  return !(typeof value === 'string' && value.startsWith('{vault://'))
}
