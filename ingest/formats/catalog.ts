import type { Format } from '../format.ts'
import { APIGEE } from './apigee.ts'
import { AWS_HTTP, AWS_REST } from './aws.ts'
import { canonical } from './canonical.ts'
import { gatewayFormat } from './gateway-format.ts'
import type { Mapping } from './gateway-mapping.ts'
import { kong } from './kong.ts'

/** Formats that are described by what each member means. */
export const MAPPINGS: readonly Mapping[] = [APIGEE, AWS_REST, AWS_HTTP]

/** Every log format, by the name that a source's configuration uses. */
export const FORMATS: ReadonlyMap<string, Format> = new Map(
  [kong, ...MAPPINGS.map(gatewayFormat), canonical].map((format) => [format.name, format]),
)

/** Names of all formats. */
export const FORMAT_NAMES: readonly string[] = [...FORMATS.keys()]
