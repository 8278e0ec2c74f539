import { createHash } from 'node:crypto'
import type { Searched } from '../../services/pushed-curfew.ts'

/** One secret that must be found nowhere. */
export interface Canary {
  readonly kind: 'jwt' | 'bearer' | 'api-key' | 'access-token' | 'cookie' | 'e-mail'
  /** As it stands in a header or field. */
  readonly text: string
  /** The parts that nobody may keep. */
  readonly needles: readonly string[]
  /** Where it was planted. */
  readonly where: string
}

export const KINDS: readonly Canary['kind'][] = [
  'jwt',
  'bearer',
  'api-key',
  'access-token',
  'cookie',
  'e-mail',
]

/** `length` letters and digits that look random and are the same for the same seed. */
function random(seed: string, length: number): string {
  const text = createHash('sha512').update(seed).digest('base64').replace(/[+/=]/g, '')
  return `${text.slice(0, length - 3)}q7Z`
}

/** A secret of a kind, different for every place. */
export function canary(kind: Canary['kind'], where: string): Canary {
  const seed = `${kind} ${where}`
  switch (kind) {
    case 'jwt': {
      const header = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')
      const claims = Buffer.from(`{"sub":"${random(seed, 12)}","iat":1}`).toString('base64url')
      const signature = createHash('sha256').update(seed).digest('base64url')
      return { kind, where, text: `${header}.${claims}.${signature}`, needles: [claims.slice(10), signature] }
    }
    case 'bearer': {
      const token = random(seed, 32)
      return { kind, where, text: `Bearer ${token}`, needles: [token] }
    }
    case 'api-key': {
      const key = random(seed, 28)
      return { kind, where, text: `sk_live_${key}`, needles: [key] }
    }
    case 'access-token': {
      const token = random(seed, 26)
      return { kind, where, text: `?access_token=${token}`, needles: [token] }
    }
    case 'cookie': {
      const id = random(seed, 24)
      return { kind, where, text: `session=${id}; Path=/`, needles: [id] }
    }
    case 'e-mail': {
      const name = `cnry${createHash('sha256').update(seed).digest('hex').slice(0, 10)}`
      return { kind, where, text: `${name}@victim.example`, needles: [name] }
    }
  }
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** The paths of all values of a document that hold no others. */
export function leavesOf(value: Json, path: readonly string[] = []): readonly (readonly string[])[] {
  if (value === null || typeof value !== 'object') return [path]
  return Object.entries(value).flatMap(([name, member]) => leavesOf(member as Json, [...path, name]))
}

/** A copy with another value at a path. */
export function withLeaf(value: Json, path: readonly string[], leaf: Json): Json {
  const [name, ...rest] = path
  if (name === undefined) return leaf
  if (Array.isArray(value))
    return value.map((item, i) => (String(i) === name ? withLeaf(item, rest, leaf) : item))
  const object = value as { readonly [name: string]: Json }
  return { ...object, [name]: withLeaf(object[name] ?? null, rest, leaf) }
}

/** Base64 as it looks inside a longer text: without the characters that depend on the neighbours. */
function base64Spellings(text: string): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const whole = Buffer.from(' '.repeat(shift) + text)
      .toString('base64')
      .replace(/=+$/, '')
    const inner = whole.slice(shift === 0 ? 0 : shift + 1, -2)
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
}

/** Every way in which a needle might have been written down. */
export function spellings(needle: string): readonly string[] {
  return [
    ...new Set([
      needle,
      encodeURIComponent(needle),
      ...base64Spellings(needle),
      Buffer.from(needle).toString('hex'),
    ]),
  ]
}

/** Spellings are looked up by so many of their first characters, so that every byte is looked at once. */
const PREFIX = 8

/** What was found, as `<place>: <kind> planted in <where>`. */
export function findings(canaries: readonly Canary[], places: readonly Searched[]): readonly string[] {
  const byPrefix = new Map<string, { readonly spelling: string; readonly canary: Canary }[]>()
  for (const each of canaries) {
    for (const spelling of each.needles.flatMap(spellings)) {
      const prefix = spelling.slice(0, PREFIX)
      byPrefix.set(prefix, [...(byPrefix.get(prefix) ?? []), { spelling, canary: each }])
    }
  }
  const found: string[] = []
  for (const { place, bytes } of places) {
    const text = bytes.toString('latin1')
    for (let at = 0; at + PREFIX <= text.length; at++) {
      for (const { spelling, canary } of byPrefix.get(text.slice(at, at + PREFIX)) ?? []) {
        if (!text.startsWith(spelling, at)) continue
        const around = text.slice(Math.max(0, at - 60), at + 60).replace(/[^ -~]/g, '.')
        found.push(`${place}: ${canary.kind} planted in ${canary.where} [${around}]`)
      }
    }
  }
  return found
}
