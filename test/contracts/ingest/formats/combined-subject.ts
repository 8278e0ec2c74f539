import { CALL, CALL_AT, type Call, formatNamed, SETTINGS } from './call.ts'
import type { FormatSubject } from './format-contract.ts'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `23/Nov/2026:17:00:00 +0000` */
function commonTime(ms: number): string {
  const at = new Date(ms)
  const [date = '', time = ''] = at.toISOString().split('T')
  return `${date.slice(8)}/${MONTHS[at.getUTCMonth()]}/${date.slice(0, 4)}:${time.slice(0, 8)} +0000`
}

/** As NGINX escapes: quotes, backslashes and what is not printable ASCII as `\\xHH`. */
function escaped(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c
        ? `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`
        : String.fromCharCode(byte),
    )
    .join('')
}

function line(changes: Partial<Call>, raw = false): string {
  const call = { ...CALL, ...changes }
  const text = raw ? (t: string) => t : escaped
  const user = call.who === 'claimed' ? 'victim' : '-'
  const status = call.who === 'turned away' ? 401 : 200
  return `203.0.113.10 - ${user} [${commonTime(call.time)}] "GET ${text(call.uri)} HTTP/1.1" ${status} ${call.bytes} "-" "${text(call.agent)}"`
}

/** The combined log format: a text, and nobody has a name in it. */
export function combinedSubject(): FormatSubject {
  return {
    format: formatNamed('combined'),
    settings: SETTINGS,
    ordinary: line({}),
    caller: 'ip:203.0.113.10',
    verified: false,
    write: line,
    template: true,
    victim: '"user":"victim"',
    claimed: line({ who: 'claimed' }),
    turnedAway: line({ who: 'turned away' }),
    tenantClaimed: line({ agent: 'tenant=victim' }),
    statedTwice: null,
    negativeSize: line({ bytes: -1 }),
    stale: line({ time: CALL_AT - 365 * 86_400_000 }),
    together: (lines) => lines.join('\n'),
    withSecret: (secret) => line({ uri: `/x?access_token=${secret}` }).slice(0, -1),
  }
}
