import { Type } from '@sinclair/typebox'
import { gatewayIds } from './schema-identity.ts'
import { kebabName, secret, section, url } from './schema-parts.ts'

/** Tyk's open source gateway. */
export const tykSection = section(
  {
    kind: Type.Literal('tyk', { description: 'Tyk, through its gateway API.' }),
    name: kebabName('Name of the gateway, unique.'),
    adminUrl: url('http', {
      default: 'http://127.0.0.1:8080',
      description: 'Where the gateway API listens (`control_api_port`, else `listen_port`), without `/tyk`.',
    }),
    ...secret('secret', 'required', '`secret` of tyk.conf, sent as X-Tyk-Authorization'),
    hashedKeys: Type.Boolean({
      default: true,
      description:
        'Whether Tyk keeps hashes of keys only (`hash_keys`); it needs `enable_hashed_keys_listing` then.',
    }),
    countsInRedis: Type.Boolean({
      default: false,
      description:
        'Whether rates are counted in Redis alone (`enable_redis_rolling_limiter`, `enable_sentinel_rate_limiter` or `enable_fixed_window_rate_limiter`). Where they are not, a throttle has counters begin anew, and keys with a quota are not throttled.',
    }),
    sessionCacheSeconds: Type.Integer({
      default: 10,
      minimum: 0,
      maximum: 3_600,
      description:
        'How long Tyk goes on with a session that it has read (`local_session_cache.cached_session_timeout`), seconds.',
    }),
    onlyFor: gatewayIds(),
  },
  { description: 'Tyk 5.x without its Dashboard deciding about keys.' },
)
