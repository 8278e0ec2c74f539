const BYTE_UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'] as const

/**
 * A number as people say it: whole from 10 on with thousands separators, one decimal below 10, two
 * significant digits below 1, three with a word from a million on.
 */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return 'an unknown number'
  if (value < 0) return `-${numberText(-value)}`
  if (value >= 1_000_000) return largeNumber(value)
  if (value >= 10) return grouped(Math.round(value))
  if (value >= 1 || value === 0) return String(Math.round(value * 10) / 10)
  return value < 0.01 ? 'less than 0.01' : String(Number(value.toPrecision(2)))
}

function largeNumber(value: number): string {
  const rounded = Number(value.toPrecision(3))
  if (rounded >= 1e15) return rounded.toExponential()
  if (rounded >= 1e12) return `${rounded / 1e12} trillion`
  return rounded >= 1e9 ? `${rounded / 1e9} billion` : `${rounded / 1e6} million`
}

function grouped(whole: number): string {
  return String(whole).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** A number with its unit: `1 record`, `1,250 records`, `1.5 MB`, `12 %`, `2 minutes`. */
export function quantityText(value: number, unit: string): string {
  if (!Number.isFinite(value)) return `an unknown number${unit === '' ? '' : ` of ${unit}`}`
  switch (unit) {
    case '':
      return numberText(value)
    case 'bytes':
    case 'B':
      return byteText(value)
    case 'share':
    case 'ratio':
    case 'fraction':
      return `${numberText(value * 100)} %`
    case '%':
    case 'percent':
      return `${numberText(value)} %`
    case 'ms':
    case 'milliseconds':
      return Math.abs(value) < 1000 ? `${numberText(value)} ms` : durationText(value / 1000)
    case 's':
    case 'seconds':
      return durationText(value)
    default: {
      const number = numberText(value)
      return `${number} ${number === '1' ? singular(unit) : unit}`
    }
  }
}

function byteText(value: number): string {
  if (Math.abs(value) < 1000) return counted(value, 'byte')
  let scaled = value
  let unit = ''
  for (const name of BYTE_UNITS) {
    scaled /= 1000
    unit = name
    if (Math.abs(Number(scaled.toPrecision(3))) < 1000) break
  }
  return `${grouped3(scaled)} ${unit}`
}

function grouped3(value: number): string {
  return Math.abs(value) < 1000 ? String(Number(value.toPrecision(3))) : numberText(value)
}

/** A length of time in the largest unit that leaves at least 1: `90 seconds` is `1.5 minutes`. */
export function durationText(seconds: number): string {
  const size = Math.abs(seconds)
  if (size >= 86_400) return counted(seconds / 86_400, 'day')
  if (size >= 3600) return counted(seconds / 3600, 'hour')
  if (size >= 60) return counted(seconds / 60, 'minute')
  return counted(seconds, 'second')
}

/** `1 hour`, `2 hours`, `0 hours`. */
export function counted(value: number, noun: string): string {
  const number = numberText(value)
  return `${number} ${noun}${number === '1' ? '' : 's'}`
}

/** `records` -> `record`, `requests per minute` -> `request per minute`, `entries` -> `entry`. */
function singular(unit: string): string {
  const [head = '', ...rest] = unit.split(/(?= per )/)
  const word = head.endsWith('ies')
    ? `${head.slice(0, -3)}y`
    : head.endsWith('sses')
      ? head.slice(0, -2)
      : head.endsWith('s') && !head.endsWith('ss')
        ? head.slice(0, -1)
        : head
  return word + rest.join('')
}

/** A point in time for people, zone stated: `2026-11-23 03:00:12 UTC`; null when it is none. */
export function timeText(iso: string): string | null {
  const ms = Date.parse(iso)
  if (Number.isNaN(ms)) return null
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

const WINDOW_UNITS: Readonly<Record<string, string>> = { s: 'second', m: 'minute', h: 'hour', d: 'day' }

/** Splits `records/10m` into `records` and `in 10 minutes`; a feature without window has null. */
export function featureParts(feature: string): { readonly name: string; readonly window: string | null } {
  const match = /^(.+)\/(\d{1,4})([smhd])$/.exec(feature)
  const noun = WINDOW_UNITS[match?.[3] ?? '']
  if (match === null || noun === undefined) return { name: feature, window: null }
  return { name: match[1] ?? feature, window: `in ${counted(Number(match[2]), noun)}` }
}
