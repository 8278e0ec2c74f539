import { Type } from '@sinclair/typebox'
import { ASYMMETRIC_ALGORITHMS } from '../../core/signature-algorithms.ts'
import { count, listen, oneOf, secret, section, url, words } from './schema-parts.ts'

const issuer = () => Type.Optional(words({ description: 'Value of `iss` that tokens must carry.' }))

const secretKey = section(
  {
    kind: Type.Literal('hs', { description: 'A secret shared with the issuer.' }),
    alg: oneOf(['HS256', 'HS384', 'HS512'], { description: 'The only algorithm accepted with this key.' }),
    ...secret('secret', 'required', 'shared secret, at least 32 characters', 32),
    issuer: issuer(),
  },
  { description: 'Verifies tokens with a shared secret.' },
)

const pemKey = section(
  {
    kind: Type.Literal('pem', { description: 'The public key of the issuer.' }),
    alg: oneOf(ASYMMETRIC_ALGORITHMS, { description: 'The only algorithm accepted with this key.' }),
    ...secret('publicKey', 'required', 'public key, PEM'),
    issuer: issuer(),
  },
  { description: 'Verifies tokens with a public key.' },
)

const jwksKey = section(
  {
    kind: Type.Literal('jwks', { description: 'The published key set of the issuer.' }),
    alg: oneOf(ASYMMETRIC_ALGORITHMS, { description: 'The only algorithm accepted with this key set.' }),
    url: url('http', { description: 'Address of the key set.' }),
    issuer: issuer(),
  },
  { description: 'Verifies tokens with a published key set.' },
)

const grpcSection = Type.Optional(
  section(
    {
      listen: listen({ default: '127.0.0.1:8743', description: 'Address to listen on.' }),
      ...secret(
        'token',
        'optional',
        'token that Envoy sends in `initial_metadata` as `authorization: Bearer …`, at least 24 characters; needed unless `listen` is loopback',
        24,
      ),
      verifiedClaims: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 256,
          description:
            'The `payload_in_metadata` under which `jwt_authn` of Envoy leaves the claims of tokens that it verified. They are then believed, and these tokens not verified again. Without it no claims of Envoy are believed.',
        }),
      ),
      rateLimitDomain: words({
        default: 'curfew',
        description: 'Domain of the rate limit filters that may ask. Calls of any other are refused.',
      }),
    },
    {
      description:
        'The same check over gRPC, as `ext_authz` and rate limit service of Envoy. Needs the optional packages `@grpc/grpc-js` and `@grpc/proto-loader`. Off when not given.',
    },
  ),
)

/** The inline check that a gateway asks before it lets a call through. */
function headerName(description: string) {
  return Type.String({
    pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
    patternMeans: 'the name of an HTTP header',
    description,
  })
}

export const decisionEndpointSchema = Type.Optional(
  section(
    {
      listen: listen({ default: '127.0.0.1:8742', description: 'Address to listen on.' }),
      failMode: oneOf(['open', 'closed'], {
        default: 'open',
        description:
          'What happens to callers that are not on the deny list while the list cannot be refreshed: let through (`open`) or refuse (`closed`). Those on it are refused either way.',
      }),
      maxStaleSeconds: count({
        default: 15,
        minimum: 1,
        maximum: 3_600,
        unit: 'seconds',
        description: 'How long the list may go without a word from the store before `failMode` decides.',
      }),
      keys: Type.Array(Type.Union([secretKey, pemKey, jwksKey]), {
        default: [],
        maxItems: 32,
        description:
          'Keys to verify tokens with. Without any only the deny list is looked up, and throttles of it are not counted: whoever names a throttled caller in a token of its own making would use up what that caller is left.',
      }),
      requireIdentity: Type.Boolean({
        default: true,
        description:
          'Refuse with 401 a call that carries no token and no identity header that is trusted. Off only where the gateway serves anonymous calls, or checks by itself callers that the endpoint is not told of, such as holders of an API key.',
      }),
      addressHeader: Type.Optional(
        headerName(
          'Header by which the gateway tells the address of its client, so that a thief is refused in its network and the owner of the token is served. The gateway must set it for each question, whatever the client sends. Over gRPC Envoy tells the address itself, and the header is not looked at; name one all the same, as this says that whoever asks tells the address. Without it such a decision holds the whole caller.',
        ),
      ),
      apiKeyHeader: Type.Optional(
        headerName(
          'Header in which callers send an API key. Its holder is the principal of kind `key` whose id is the SHA-256 of the key in lower-case hexadecimal, as a log in the `canonical` format states it; the key itself is kept nowhere. A call with such a header carries an identity, whether anybody knows the key or not: whether it is right is for the gateway to say. Without it keys are not looked at.',
        ),
      ),
      trustHeaders: Type.Boolean({
        default: false,
        description:
          'Believe identity headers. Only behind a gateway that removes them from client requests.',
      }),
      grpc: grpcSection,
    },
    {
      description: 'The inline check that a gateway asks before it lets a call through. Off when not given.',
    },
  ),
)
