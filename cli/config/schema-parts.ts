import { type SchemaOptions, type TOptional, type TSchema, type TUnsafe, Type } from '@sinclair/typebox'

declare const secretName: unique symbol

/** Name of an environment variable or file that holds a secret; `Needs` says whether one must be given. */
export type SecretName<Needs extends 'required' | 'optional'> = string & { readonly [secretName]: Needs }

declare const fileName: unique symbol

/** Name of a file whose text takes the place of the setting. */
export type FileName = string & { readonly [fileName]: true }

/** What the schema says about a setting beyond JSON Schema; kept out of the generated schema where it has no meaning. */
export interface SettingOptions extends SchemaOptions {
  readonly description: string
  readonly unit?: string
}

type SecretProperties<Name extends string, Needs extends 'required' | 'optional'> = {
  [K in `${Name}Env` | `${Name}File`]: TOptional<TUnsafe<SecretName<Needs>>>
}

/** Variable names are upper case, so that a secret typed in their place is recognised and never repeated. */
const VARIABLE_PATTERN = '^[A-Z_][A-Z0-9_]{0,127}$'

/**
 * Two keys, `<name>Env` and `<name>File`, of which at most one (exactly one when required) is given. The
 * loaded configuration has `<name>` in their place, a {@link Secret}.
 */
export function secret<Name extends string, Needs extends 'required' | 'optional'>(
  name: Name,
  needs: Needs,
  description: string,
  minLength = 1,
): SecretProperties<Name, Needs> {
  const annotations = { secretFor: name, secretNeeds: needs, secretMinLength: minLength }
  const env = Type.Unsafe<SecretName<Needs>>(
    Type.String({
      ...annotations,
      pattern: VARIABLE_PATTERN,
      patternMeans: 'the name of an environment variable, in upper case',
      description: `Environment variable that holds: ${description}`,
    }),
  )
  const file = Type.Unsafe<SecretName<Needs>>(
    Type.String({
      ...annotations,
      minLength: 1,
      maxLength: 4096,
      description: `File that holds: ${description}`,
    }),
  )
  return { [`${name}Env`]: Type.Optional(env), [`${name}File`]: Type.Optional(file) } as SecretProperties<
    Name,
    Needs
  >
}

/** A file whose text is read; the loaded configuration has `<name>` in place of `<name>File`. */
export function fileText(name: string, description: string): TOptional<TUnsafe<FileName>> {
  return Type.Optional(
    Type.Unsafe<FileName>(Type.String({ fileFor: name, minLength: 1, maxLength: 4096, description })),
  )
}

/** One of some words. */
export function oneOf<const Words extends readonly string[]>(
  words: Words,
  options: SettingOptions,
): TUnsafe<Words[number]> {
  return Type.Unsafe<Words[number]>(Type.String({ ...options, enum: [...words] }))
}

/** A section: no other keys are allowed, and it may be left out when every setting in it has a default. */
export function section<Properties extends Record<string, TSchema>>(
  properties: Properties,
  options: SettingOptions & { readonly default?: unknown },
) {
  return Type.Object(properties, { ...options, additionalProperties: false })
}

/** A name that also appears in metrics and messages. */
export function kebabName(description: string, fallback?: string) {
  return Type.String({
    ...(fallback === undefined ? {} : { default: fallback }),
    description,
    pattern: '^[a-z][a-z0-9]*(-[a-z0-9]+)*$',
    patternMeans: 'lower-case words joined by hyphens, such as `kong-eu`',
    maxLength: 64,
  })
}

/** Short free text without control characters. */
export function words(options: SettingOptions & { readonly default?: string }) {
  return Type.String({
    ...options,
    minLength: 1,
    maxLength: 256,
    pattern: '^[^\\u0000-\\u001f\\u007f]*$',
    patternMeans: 'text of 1 to 256 characters without control characters',
  })
}

/** Address and port that a server binds. */
export function listen(options: SettingOptions & { readonly default: string }) {
  return Type.String({
    ...options,
    pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9.-]+):[0-9]{1,5}$',
    patternMeans: 'address and port, such as `127.0.0.1:8740` or `[::1]:8740`',
    maxLength: 262,
  })
}

/** An address without user name and password in it: those are secrets. */
export function url(scheme: 'http' | 'redis', options: SettingOptions) {
  return Type.String({
    ...options,
    pattern: `^${scheme}s?://[^\\s/?#@]+(/[^\\s@]*)?$`,
    patternMeans: `a URL that starts with \`${scheme}://\` or \`${scheme}s://\` and holds no user name or password`,
    mayHoldSecret: true,
    isUrl: true,
    maxLength: 2048,
  })
}

/** `host:port` of a server. */
export function hostPort(description: string) {
  return Type.String({
    description,
    pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}$',
    patternMeans: '`host:port`',
    maxLength: 262,
  })
}

/** A whole number with its bounds, default and unit. */
export function count(options: {
  readonly default: number
  readonly minimum: number
  readonly maximum: number
  readonly unit: string
  readonly description: string
}) {
  return Type.Integer(options)
}

/** Settings of an encrypted connection, the same for every client. */
export function tlsSection(whatFor: string) {
  return Type.Optional(
    section(
      {
        caFile: fileText('ca', 'PEM file of the authorities to trust; without it those of the system.'),
        certFile: fileText('cert', 'PEM file of the client certificate.'),
        ...secret('key', 'optional', 'private key of the client certificate, PEM'),
        serverName: Type.Optional(
          words({
            description: 'Name that the certificate of the server must carry, when not its host name.',
          }),
        ),
        rejectUnauthorized: Type.Boolean({
          default: true,
          description: 'Refuse a server whose certificate is not trusted. Switch off in a laboratory only.',
        }),
      },
      { description: `Encrypts ${whatFor}; \`tls: {}\` uses the authorities of the system.` },
    ),
  )
}

/** Credentials of a Kafka client. */
export function saslSection() {
  return Type.Optional(
    section(
      {
        mechanism: oneOf(['plain', 'scram-sha-256', 'scram-sha-512'], { description: 'SASL mechanism.' }),
        username: words({ description: 'User name.' }),
        ...secret('password', 'required', 'password of the Kafka user'),
      },
      { description: 'User name and password for Kafka.' },
    ),
  )
}

/** Kafka brokers to start from. */
export function brokers() {
  return Type.Array(hostPort('`host:port` of a broker.'), {
    minItems: 1,
    maxItems: 100,
    description: 'Brokers to start from.',
  })
}
