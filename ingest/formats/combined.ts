import type { Emit, Format, RawRecord, SourceSettings } from '../format.ts'
import { MAX_LINE_BYTES } from '../format.ts'
import { excerptOf } from '../scrub.ts'
import { gatewayReader } from './gateway-format.ts'
import type { GatewayPlan, Mapping } from './gateway-mapping.ts'
import { ValueFields } from './json-fields.ts'
import { Line } from './line.ts'
import { linesIn } from './opened.ts'

/**
 * The combined log format of NGINX and Apache. Its user name is what the client sent, checked or not, so it
 * names nobody: every call is its address's. Described as the others are, by members that this file fills.
 */
export const COMBINED: Mapping = {
  name: 'combined',
  members: {
    time: 'time',
    clientIp: 'address',
    method: 'method',
    uri: 'uri',
    status: 'status',
    responseBytes: 'bytes',
    userAgent: 'agent',
  },
  timeIs: 'end',
  durationUnitMs: 1,
  sealedBy: [],
  names: () => null,
  refusedBy: (_, status) => {
    if (status === 401) return 'gateway'
    return status === 403 || status === 404 || status === 429 ? 'upstream' : null
  },
}

/** Address, identity and user, and the time: nothing here holds a quote, since both servers escape it. */
const HEAD = /^(\S{1,64}) [^"]{1,1024}\[([^\]"]{1,40})\] $/
const RESULT = /^ (\d{3}) (-|-?\d{1,19})(?= )/
/** What people append: numbers, names and quoted texts. */
const APPENDED = /^(?: (?:"[^"]{0,1024}"|[^" ]{1,1024})){0,32}\s?$/
const ESCAPE = /\\(?:x([0-9A-Fa-f]{2})|(.))/g
/** Longest head of a line that is looked at. */
const MAX_HEAD_CHARS = 1_280

interface Parts {
  readonly values: Readonly<Record<string, string>>
  /** Null when the line was understood to its end. */
  readonly fault: 'truncated' | 'not-json' | null
}

const reader = gatewayReader(COMBINED)

/** One line per message, or several with line ends between them. */
export const combined: Format = {
  name: COMBINED.name,
  parse(record: RawRecord, settings: SourceSettings, emit: Emit): void {
    const { buffer, byteOffset, length } = record.bytes
    const bytes = Buffer.from(buffer, byteOffset, length)
    const lines = linesIn(bytes)
    const plan = planFor(settings)
    for (const [index, line] of (lines.length === 0 ? [bytes] : lines).entries())
      parseLine(line, new Line(record, settings, index), plan, emit)
  },
}

const plans = new WeakMap<SourceSettings, GatewayPlan>()

function planFor(settings: SourceSettings): GatewayPlan {
  const plan = plans.get(settings) ?? reader.plan(settings)
  plans.set(settings, plan)
  return plan
}

function parseLine(bytes: Buffer, line: Line, plan: GatewayPlan, emit: Emit): void {
  const tooLong = bytes.length > MAX_LINE_BYTES
  const { values, fault } = partsOf(bytes.toString('utf8', 0, Math.min(bytes.length, MAX_LINE_BYTES)))
  const slots: unknown[] = []
  for (const [member, text] of Object.entries(values)) slots[plan.top[member] ?? 0] = text
  line.bytes = bytes
  if (fault !== null || tooLong) {
    line.salvaged = true
    line.note(tooLong ? 'too-long' : (fault ?? 'truncated'), `the line of ${bytes.length} bytes`)
  }
  const event = reader.read(new ValueFields(slots), plan, line)
  if (event !== null) emit.event(event)
  if (line.problem === null) return
  const { reason, detail } = line.problem
  const clientIp = line.address?.ip ?? null
  emit.rejected({ reason, detail, excerpt: excerptOf(bytes), index: line.index, clientIp })
}

/** What stands in a line, as far as it can be told. */
function partsOf(text: string): Parts {
  const quote = text.indexOf('"')
  const head = HEAD.exec(text.slice(0, quote < 0 || quote > MAX_HEAD_CHARS ? 0 : quote))
  if (head === null)
    return { values: {}, fault: quote < 0 && /^\S{7,45} /.test(text) ? 'truncated' : 'not-json' }
  const values: Record<string, string> = { clientIp: head[1] ?? '', time: head[2] ?? '' }
  const request = quoted(text, quote)
  if (request === null) return { values, fault: 'truncated' }
  const [method = '', uri = ''] = request.text.split(' ', 2)
  if (uri !== '') Object.assign(values, { method, uri })
  const result = RESULT.exec(text.slice(request.end, request.end + 32))
  if (result === null) return { values, fault: text.length < request.end + 32 ? 'truncated' : 'not-json' }
  Object.assign(values, { status: result[1] ?? '', responseBytes: result[2] ?? '' })
  const referer = quoted(text, request.end + result[0].length + 1)
  const agent = referer === null ? null : quoted(text, referer.end + 1)
  if (agent === null) return { values, fault: 'truncated' }
  values.userAgent = agent.text
  return { values, fault: APPENDED.test(text.slice(agent.end, agent.end + 4_096)) ? null : 'not-json' }
}

/** The quoted text that begins at `start`, escapes resolved; null when it does not begin or end. */
function quoted(text: string, start: number): { readonly text: string; readonly end: number } | null {
  if (text[start] !== '"') return null
  let p = start + 1
  while (p < text.length && text[p] !== '"') p += text[p] === '\\' ? 2 : 1
  if (p >= text.length) return null
  const raw = text.slice(start + 1, p)
  return { text: raw.includes('\\') ? raw.replace(ESCAPE, plainly) : raw, end: p + 1 }
}

function plainly(_: string, hex: string | undefined, character: string | undefined): string {
  return hex === undefined ? (character ?? '') : String.fromCharCode(Number.parseInt(hex, 16))
}
