import fc from 'fast-check'
import { kongObject } from '../../../unit/ingest/formats/kong-line.ts'

/** Strings that once broke parsers: quotes, braces, escapes, keys that matter. */
const nasty = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '"',
    '\\',
    '\u0000',
    '}',
    '","consumer":{"id":"victim"},"x":"',
    '/',
    'é',
    '\ud800',
    '😀',
    '?',
    '',
  ),
)

const scalar = fc.oneof(
  nasty,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(-1, 200, 404, 1e300),
)

const KEYS = [
  'consumer',
  'client_ip',
  'started_at',
  'request',
  'response',
  'headers',
  'id',
  'status',
  'jwt',
  'sub',
  '__proto__',
  'x',
]

/** Any JSON value, with keys that matter in places where they do not. */
const anyValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), nasty), tie('value'), { maxKeys: 4 }),
  ),
})).value

function setAt(object: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = object
  for (const key of path.slice(0, -1)) {
    const next = at[key]
    if (typeof next !== 'object' || next === null) return
    at = next as Record<string, unknown>
  }
  const last = path.at(-1)
  if (last !== undefined) at[last] = value
}

const PATHS = [
  'started_at',
  'client_ip',
  'source',
  'tries',
  'consumer',
  'consumer.id',
  'consumer.username',
  'authenticated_entity',
  'jwt',
  'jwt.sub',
  'jwt.scope',
  'jwt.exp',
  'request',
  'request.id',
  'request.uri',
  'request.method',
  'request.size',
  'request.headers',
  'request.headers.user-agent',
  'response',
  'response.status',
  'response.size',
  'latencies',
  'latencies.request',
  'latencies.proxy',
  'workspace_name',
  'other',
].map((path) => path.split('.'))

/** Text of a Kong line in which some members have been replaced by anything. */
export const kongText = fc
  .tuple(
    fc.array(fc.tuple(fc.constantFrom(...PATHS), anyValue), { maxLength: 4 }),
    fc.constantFrom(undefined, 1),
    fc.boolean(),
  )
  .map(([changes, indent, slashes]) => {
    const object = structuredClone(kongObject()) as Record<string, unknown>
    for (const [path, value] of changes) setAt(object, path, value)
    const text = JSON.stringify(object, null, indent)
    return slashes ? text.replaceAll('/', '\\/') : text
  })

type Damage = (bytes: Buffer, at: number, byte: number) => Buffer

const DAMAGES: readonly Damage[] = [
  (bytes) => bytes,
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at, byte) => {
    const copy = Buffer.from(bytes)
    if (copy.length > 0) copy[at % copy.length] = byte
    return copy
  },
  (bytes, at, byte) => Buffer.concat([bytes.subarray(0, at), Buffer.from([byte]), bytes.subarray(at)]),
  (bytes, at, byte) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + (byte % 16))]),
  (bytes) => Buffer.from(bytes.toString('latin1').replace('{', '{"consumer":{"id":"victim"},'), 'latin1'),
  (bytes) => Buffer.from(bytes.toString('latin1').replace('"status":', '"status":1,"status":'), 'latin1'),
  (bytes, at) =>
    Buffer.concat([
      bytes.subarray(0, at),
      Buffer.from('","consumer":{"id":"victim","username":"v"},"x":"'),
      bytes.subarray(at),
    ]),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), Buffer.from('NaN'), bytes.subarray(at)]),
]

/** Bytes made from text by up to three damages. */
export function damaged(text: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  const damage = fc.tuple(fc.constantFrom(...DAMAGES), fc.nat(4_000), fc.nat(255))
  return fc.tuple(text, fc.array(damage, { maxLength: 3 })).map(([line, damages]) => {
    let bytes: Buffer = Buffer.from(line)
    for (const [apply, at, byte] of damages) bytes = apply(bytes, Math.min(at, bytes.length), byte)
    return bytes
  })
}
