import type { Reason } from '../core/opinion.ts'
import { CANARY_DETECTOR } from './canary.ts'
import { type Incident, UNREADABLE_LINES } from './incident.ts'

const SPANS: Record<string, string> = {
  call: 'one answer to a steady caller',
  '10s': 'ten seconds',
  '1m': 'one minute',
  '10m': 'ten minutes',
  '1h': 'one hour',
  '1d': 'one day',
}

/** Hours less surprising than this are not worth a word. */
const MIN_MENTIONED = 1.5
/** Share of the strongest surprise from which records are named first. */
const RECORDS_FIRST = 0.7

/** One sentence for people: who, the strongest reason with its numbers, and when it was unusual to call. */
export function summarise(incident: Incident): string {
  const lines = incident.reasons.find((r) => r.detector === UNREADABLE_LINES)
  if (lines !== undefined) return `${incident.entity.id}: ${linesText(lines)}`
  if (incident.detectors.includes(CANARY_DETECTOR))
    return `${incident.entity.id}: a drill, or somebody who uses the drill's credential`
  const volume = mostTelling(
    incident.reasons.filter((r) => r.detector === 'volume' || r.detector === 'burst'),
  )
  const hours = incident.reasons.find((r) => r.detector === 'off-hours' && r.surprise >= MIN_MENTIONED)
  const unlike = incident.reasons.filter((r) => UNLIKE.has(r.detector) && r.surprise >= MIN_MENTIONED)
  const [surge] = incident.reasons.filter((r) => r.detector === 'surge' && r.surprise >= MIN_MENTIONED)
  const parts: string[] = []
  const isOnlyThing = hours === undefined && unlike.length === 0
  if (volume !== undefined && (isOnlyThing || volume.surprise >= MIN_MENTIONED))
    parts.push(volumeText(volume))
  // Of two ways to say that it is much, the stronger.
  if (surge !== undefined && surge.surprise > (volume?.surprise ?? 0)) parts.push(surgeText(surge))
  if (hours !== undefined)
    parts.push(`active at ${hours.feature.slice('hour-of-week/'.length)}, when it hardly ever is`)
  for (const reason of incident.reasons) {
    const noun = COUNTED[reason.detector]
    if (noun !== undefined && reason.surprise >= MIN_MENTIONED) parts.push(countedText(reason, noun))
  }
  for (const reason of incident.reasons) {
    const noun = OF_A_DAY[reason.detector]
    if (noun !== undefined && reason.surprise >= MIN_MENTIONED) parts.push(recordText(reason, noun))
  }
  if (unlike.length > 0) parts.push(`unlike itself: ${unlike.map(noveltyText).join(', ')}`)
  if (parts.length === 0) parts.push('many small deviations from its habits')
  return `${incident.entity.id}: ${parts.join('; ')}`
}

/** What detectors of one number count, for people. */
const COUNTED: Readonly<Record<string, string>> = {
  probing: 'refusals (401, 403, 404)',
  enumeration: 'ids next to the one before',
  'token-sharing': 'turns between two networks or clients',
  'change-point': 'bytes',
}

/** What a day had more of than any before. */
const OF_A_DAY: Readonly<Record<string, string>> = {
  'new-place': 'calls from a network and with a client program that are both new',
  awakening: 'records after a longer silence than ever',
  'long-day': 'hours with calls',
  'rare-operations': 'calls of operations that few callers use',
}

/** Detectors that say how a caller is unlike itself. */
const UNLIKE: ReadonlySet<string> = new Set(['novelty', 'new-objects', 'sequence'])

const NEW = { network: 'a network', client: 'a client program', object: 'an object' } as const

function noveltyText({ feature, expected }: Reason): string {
  const kind = feature.slice(0, feature.indexOf('/'))
  const value = feature.slice(kind.length + 1)
  if (kind === 'operation') return `${value} (usually ${percent(expected)} of its calls)`
  if (kind === 'sequence') return `${value} in an order that is not its own`
  if (kind === 'hour-of-day') return `active at ${value}`
  return `${NEW[kind as keyof typeof NEW]} that it did not use before`
}

function percent(share: number): string {
  return share < 0.001 ? 'below 0.1 %' : `${Number((100 * share).toPrecision(2))} %`
}

/** Records are what people think in: they go first unless something else is far stronger. */
function mostTelling(reasons: readonly Reason[]): Reason | undefined {
  const [strongest] = reasons
  const records = reasons.find((r) => r.unit === 'records')
  return records !== undefined && records.surprise >= RECORDS_FIRST * strongest!.surprise
    ? records
    : strongest
}

function linesText({ observed, expected, range }: Reason): string {
  const usual = `usually ${rounded(expected)}, 99 % of the time at most ${rounded(range[1])}`
  return `${rounded(observed)} log lines in ten minutes that could not be read whole (${usual}); calls may be hidden in them`
}

function surgeText({ observed, expected, unit }: Reason): string {
  return `${rounded(observed)} ${unit} within sixty minutes (never more than ${rounded(expected)} before)`
}

function recordText({ observed, expected }: Reason, noun: string): string {
  return `${rounded(observed)} ${noun} in a day (never more than ${rounded(expected)} before)`
}

function volumeText(reason: Reason): string {
  return countedText(reason, reason.feature.split('/')[0]!)
}

function countedText(reason: Reason, metric: string): string {
  const window = reason.feature.split('/')[1]
  const usual = `usually ${rounded(reason.expected)}, 99 % of the time at most ${rounded(reason.range[1])}`
  return `${rounded(reason.observed)} ${metric} in ${SPANS[window ?? ''] ?? window} (${usual}; ${reason.comparedWith})`
}

function rounded(value: number): string {
  if (value >= 100) return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
  return String(Number(value.toPrecision(2)))
}
