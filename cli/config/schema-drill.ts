import { Type } from '@sinclair/typebox'
import { CANARY_NAME } from '../../core/canary.ts'
import { count, oneOf, secret, section, url, words } from './schema-parts.ts'

/** How `curfew drill` calls as the canary, and for how long it is patient. */
export const drillSchema = Type.Optional(
  section(
    {
      url: url('http', {
        description:
          'What the canary asks for with GET, through the gateway. An address that returns many records is decided on after a few calls, any other after `detection.impactRequests`.',
      }),
      ...secret('token', 'required', 'token or API key of the canary, as the gateway wants it'),
      header: Type.String({
        default: 'authorization',
        pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
        patternMeans: 'the name of an HTTP header',
        description: 'Header that carries the token.',
      }),
      scheme: oneOf(['bearer', 'plain'], {
        default: 'bearer',
        description: '`bearer` puts the word `Bearer` in front of the token, `plain` nothing.',
      }),
      tenant: words({ default: 'default', description: 'Tenant of the canary.' }),
      principal: Type.String({
        pattern: `^[a-z][a-z-]*:([a-z][a-z0-9-]{0,62}/)?${CANARY_NAME}$`,
        patternMeans: `a caller by the name of ${CANARY_NAME}, such as \`consumer:${CANARY_NAME}\``,
        maxLength: 256,
        description: `The canary as Curfew shows it. Its name is always \`${CANARY_NAME}\`; needs mode \`enforce\`.`,
      }),
      callsPerSecond: count({
        default: 50,
        minimum: 1,
        maximum: 1_000,
        unit: 'calls per second',
        description: 'How fast the canary calls until it is refused.',
      }),
      maxCalls: count({
        default: 1_000,
        minimum: 10,
        maximum: 100_000,
        unit: 'calls',
        description: 'Calls after which the canary only waits.',
      }),
      patienceSeconds: count({
        default: 30,
        minimum: 5,
        maximum: 900,
        unit: 'seconds',
        description: 'How long each link may take before it counts as broken.',
      }),
    },
    { description: 'The canary of `curfew drill`; only that command uses it.' },
  ),
)
