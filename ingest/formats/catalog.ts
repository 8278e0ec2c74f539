import type { Format } from '../format.ts'
import { APIGEE } from './apigee.ts'
import { APISIX } from './apisix.ts'
import { AWS_HTTP, AWS_REST } from './aws.ts'
import { CADDY } from './caddy.ts'
import { canonical } from './canonical.ts'
import { CLOUDTRAIL } from './cloudtrail.ts'
import { combined } from './combined.ts'
import { ENVOY } from './envoy.ts'
import { gatewayFormat } from './gateway-format.ts'
import type { Mapping } from './gateway-mapping.ts'
import { HAPROXY } from './haproxy.ts'
import { kong } from './kong.ts'
import { NGINX } from './nginx.ts'
import { OCSF } from './ocsf.ts'
import { TRAEFIK } from './traefik.ts'
import { TYK } from './tyk.ts'

/** Formats of JSON that are described by what each member means. */
export const MAPPINGS: readonly Mapping[] = [
  APIGEE,
  AWS_REST,
  AWS_HTTP,
  NGINX,
  HAPROXY,
  ENVOY,
  APISIX,
  TYK,
  CADDY,
  TRAEFIK,
  CLOUDTRAIL,
  OCSF,
]

/** Every log format, by the name that a source's configuration uses. */
export const FORMATS: ReadonlyMap<string, Format> = new Map(
  [kong, ...MAPPINGS.map(gatewayFormat), combined, canonical].map((format) => [format.name, format]),
)

/** Names of all formats. */
export const FORMAT_NAMES: readonly string[] = [...FORMATS.keys()]
