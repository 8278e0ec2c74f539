import type { RefusedBy } from '../../core/event.ts'
import type { SourceSettings } from '../format.ts'
import type { Names } from './gateway-names.ts'
import type { Opened, ReadingPlan } from './json-format.ts'
import { type Shape, ShapeBuilder } from './json-shape.ts'
import type { Members, Slots } from './members.ts'

/** What a call asked for, where the log says it in words of its own. */
export interface StatedTarget {
  readonly method: string | null
  /** Path with its query string. */
  readonly uri: string | null
  /** The gateway's own template of the path; null where ours is to be used. */
  readonly route: string | null
  readonly objectIds?: readonly string[]
}

/**
 * How a gateway's lines are read. Names of members are ours: `time`, `end`, `duration`, `id`, `spareId`,
 * `clientIp`, `spareIp`, `method`, `uri`, `query`, `status`, `requestBytes`, `responseBytes`, `userAgent`, `records`,
 * `decision` and the claims mean the same in every mapping; further ones are for its own functions.
 */
export interface Mapping {
  readonly name: string
  /** Our name of a member to its dotted path in the line. */
  readonly members: Readonly<Record<string, string>>
  /** An object in which all members may stand instead of at the top. */
  readonly inside?: string
  /** What stands before the names of response headers (`headers.`), and whether they have capitals (`Content-Range`). */
  readonly headers?: { readonly prefix: string; readonly capitals: boolean }
  /** Whether `time` is that of completion; else `duration` is added. */
  readonly timeIs: 'start' | 'end'
  /** Milliseconds of one unit of `duration`. */
  readonly durationUnitMs: number
  /**
   * Members that a hand-written log format always writes, empty or not. Names count only in lines that have all
   * of them: then one that a client slipped in, through text that nobody escaped, is there twice.
   */
  readonly sealedBy: readonly string[]
  /** Whom the gateway vouches for; null when for nobody. Not asked about calls refused as unauthenticated. */
  readonly names: (m: Members) => Names | null
  readonly refusedBy: (m: Members, status: number | null) => RefusedBy
  /** Whether the line tells of a call at all; others are dead letters. */
  readonly isCall?: (m: Members) => boolean
  readonly target?: (m: Members) => StatedTarget
  /** Status of the call, where the log has no HTTP status. */
  readonly status?: (m: Members) => number | null
  readonly open?: (bytes: Buffer) => Opened | null
}

/** What is read from the lines of one source. */
export interface GatewayPlan extends ReadingPlan {
  readonly shape: Shape
  readonly top: Slots
  /** Null when members stand at the top only. */
  readonly inner: Slots | null
  /** -1 when all members stand at the top. */
  readonly inside: number
  readonly tenant: number
  readonly gateway: number
  readonly recordHeaders: readonly number[]
  readonly contentRange: number
  readonly recordField: number
}

/** Numbers the members of a source's lines: those of the mapping, then the configured ones. */
export function planOf(mapping: Mapping, settings: SourceSettings): GatewayPlan {
  const b = new ShapeBuilder()
  const { inside, headers, members } = mapping
  const at = (path: string) => b.slot(...path.split('.'))
  const slotsIn = (prefix: string): Slots =>
    Object.fromEntries(Object.entries(members).map(([name, path]) => [name, at(`${prefix}${path}`)]))
  const top = slotsIn('')
  const { headers: wanted, field, contentRange } = settings.records
  const header = (name: string) => at(`${headers?.prefix}${headers?.capitals ? capitals(name) : name}`)
  return {
    top,
    inner: inside === undefined ? null : slotsIn(`${inside}.`),
    inside: inside === undefined ? -1 : at(inside),
    tenant: settings.tenantField === null ? -1 : b.slot(settings.tenantField),
    gateway: settings.gatewayField == null ? -1 : b.slot(settings.gatewayField),
    recordHeaders: headers === undefined ? [] : wanted.map((name) => header(name.toLowerCase())),
    contentRange: headers === undefined || !contentRange ? -1 : header('content-range'),
    recordField: field === null ? -1 : at(field),
    shape: b.build(),
  }
}

/** `content-range` as Go servers write it: `Content-Range`. */
function capitals(header: string): string {
  return header.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase())
}
