import type { Format, SourceSettings } from '../../../../ingest/format.ts'
import { FORMATS } from '../../../../ingest/formats/catalog.ts'
import { RECEIVED_AT } from '../../../unit/ingest/formats/kong-line.ts'
import type { FormatSubject } from './format-contract.ts'

/** Epoch ms of the start of every ordinary call. */
export const CALL_AT = RECEIVED_AT - 1_000
const YEAR_MS = 365 * 86_400_000

/**
 * One call, to be told in some format. It comes from 203.0.113.10. `caller` is authenticated by the gateway;
 * `claimed` is served without that although it claims to be the caller wherever a client can; `turned away` is
 * the caller's call, refused with 401.
 */
export interface Call {
  readonly who: 'caller' | 'claimed' | 'turned away'
  readonly id: string
  readonly time: number
  readonly agent: string
  readonly uri: string
  readonly bytes: number
}

export const CALL: Call = {
  who: 'caller',
  id: 'call-1',
  time: CALL_AT,
  agent: 'acme-ios/4.2',
  uri: '/v1/orders/8841',
  bytes: 1_020,
}

/** What a test's author says about a format. */
export interface FormatStory {
  readonly name: string
  /** Principal of the caller, `kind:label`. */
  readonly caller: string
  /** The line; `raw` where text of a client stands in it as it came, in formats that people write by hand. */
  readonly write: (call: Call, raw: boolean) => string
  /** Whether text can stand in a line as it came, because the line is made from a template. */
  readonly template: boolean
  /** Members that name somebody else, as JSON without braces. */
  readonly victim: string
  /** Where those members stand: after this text. */
  readonly after?: string
}

export const SETTINGS: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'gateway', id: 'edge' },
  principal: { order: ['consumer', 'sub', 'app', 'key', 'account'], issuers: new Map() },
  records: { headers: ['x-records-returned'], contentRange: true, field: null, bytesPerRecord: null },
}

export function formatNamed(name: string): Format {
  const format = FORMATS.get(name)
  if (format === undefined) throw new Error(`no format ${name}`)
  return format
}

/** A line from a template: members in their order; with `raw` nothing is escaped. */
export function templated(members: readonly (readonly [string, string | number])[], raw: boolean): string {
  const text = (value: string | number): string => {
    if (typeof value === 'number') return String(value)
    return raw ? `"${value}"` : JSON.stringify(value)
  }
  return `{${members.map(([key, value]) => `"${key}":${text(value)}`).join(',')}}`
}

/** All that the contract asks about a format whose lines are JSON. */
export function jsonSubject(story: FormatStory): FormatSubject {
  const write = (changes: Partial<Call>, raw = false) => story.write({ ...CALL, ...changes }, raw)
  const ordinary = write({})
  const after = story.after ?? '{'
  const put = (members: string) => ordinary.replace(after, `${after}${members},`)
  return {
    format: formatNamed(story.name),
    settings: SETTINGS,
    ordinary,
    caller: story.caller,
    verified: true,
    write,
    template: story.template,
    victim: story.victim,
    claimed: write({ who: 'claimed' }),
    turnedAway: write({ who: 'turned away' }),
    tenantClaimed: put('"tenant":"victim","gateway":{"kind":"x","id":"y"}'),
    statedTwice: put(story.victim),
    negativeSize: write({ bytes: -1 }),
    stale: write({ time: CALL_AT - YEAR_MS }),
    together: (lines) => `[${lines.join(',')}]`,
    withSecret: (secret) =>
      `{"apikey":"${secret}","note":"/x?access_token=${secret}",${ordinary.slice(1, -2)}`,
  }
}
