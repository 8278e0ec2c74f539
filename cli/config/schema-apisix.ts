import { Type } from '@sinclair/typebox'
import { gatewayIds } from './schema-identity.ts'
import { kebabName, secret, section, url } from './schema-parts.ts'

/** Apache APISIX with its configuration in etcd. */
export const apisixSection = section(
  {
    kind: Type.Literal('apisix', { description: 'Apache APISIX, through its Admin API.' }),
    name: kebabName('Name of the gateway, unique.'),
    adminUrl: url('http', {
      default: 'http://127.0.0.1:9180',
      description: 'Where the Admin API listens (`deployment.admin.admin_listen`), without `/apisix/admin`.',
    }),
    ...secret(
      'adminKey',
      'optional',
      'key of the Admin API with the role admin, sent as X-API-KEY; not needed where `admin_key_required` is off',
    ),
    onlyFor: gatewayIds(),
  },
  { description: 'Apache APISIX 3.x with etcd. Not in standalone mode, which has no API for consumers.' },
)
