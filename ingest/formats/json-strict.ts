import { MAX_LINE_BYTES, type RejectReason } from '../format.ts'
import { type Fields, ValueFields } from './json-fields.ts'
import type { Shape, ShapeNode } from './json-shape.ts'
import { walkLine } from './json-walk.ts'

/** A line as the strict parser understood it, whole or up to its damage. */
export interface StrictLine {
  readonly fields: Fields
  /** Null when the line is one valid JSON object in valid UTF-8. */
  readonly damage: RejectReason | null
  /** True when only what stood before the damage is in the fields. */
  readonly salvaged: boolean
  /** True when bytes that are not UTF-8 were replaced by U+FFFD: different texts may look the same. */
  readonly replacedBytes: boolean
  /** Watched paths stated more than once. */
  readonly duplicates: readonly string[]
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The reference reader, slow and careful: `JSON.parse` for the values of a valid line, a walk over its
 * members for what `JSON.parse` does not tell. The scanner must agree with it on every line it accepts.
 */
export function readStrictly(bytes: Buffer, shape: Shape): StrictLine {
  const tooLong = bytes.length > MAX_LINE_BYTES
  const head = tooLong ? bytes.subarray(0, MAX_LINE_BYTES) : bytes
  const { text, broken } = decode(head)
  const walk = walkLine(text, shape)
  const encoding: RejectReason | null = broken ? 'invalid-utf8' : null
  if (walk.damage === null && !tooLong) {
    const tree = parseOrNull(text)
    if (tree !== null) {
      const values = walk.duplicates.length > 0 ? walk.values : valuesOf(tree, shape)
      return {
        fields: new ValueFields(values),
        damage: encoding,
        salvaged: false,
        replacedBytes: broken,
        duplicates: walk.duplicates,
      }
    }
  }
  const damage = tooLong ? 'too-long' : (walk.damage ?? 'not-json')
  return {
    fields: new ValueFields(walk.values),
    damage,
    salvaged: true,
    replacedBytes: broken,
    duplicates: walk.duplicates,
  }
}

/** Bytes that are not UTF-8 become U+FFFD: a client can put them into a path or a user agent. */
function decode(bytes: Buffer): { readonly text: string; readonly broken: boolean } {
  try {
    return { text: strictUtf8.decode(bytes), broken: false }
  } catch {
    return { text: bytes.toString('utf8'), broken: true }
  }
}

function parseOrNull(text: string): object | null {
  try {
    const tree: unknown = JSON.parse(text)
    return typeof tree === 'object' && tree !== null && !Array.isArray(tree) ? tree : null
  } catch {
    return null
  }
}

function valuesOf(tree: object, shape: Shape): unknown[] {
  const values: unknown[] = []
  fill(shape.root, tree, values)
  return values
}

function fill(node: ShapeNode, tree: object, values: unknown[]): void {
  for (const [key, child] of node.children) {
    if (!Object.hasOwn(tree, key)) continue
    const value: unknown = Reflect.get(tree, key)
    values[child.slot] = value
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) fill(child, value, values)
  }
}
