import type { Format } from '../format.ts'
import { canonical } from './canonical.ts'
import { kong } from './kong.ts'

/** Every log format, by the name that a source's configuration uses. */
export const FORMATS: ReadonlyMap<string, Format> = new Map(
  [kong, canonical].map((format) => [format.name, format]),
)
