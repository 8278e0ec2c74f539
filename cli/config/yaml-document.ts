import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLError } from 'yaml'
import { cut, type Problem } from './problem.ts'

/** A value of the file together with the line it stands on. */
export type ConfigNode =
  | { readonly kind: 'map'; readonly line: number; readonly entries: ReadonlyMap<string, ConfigEntry> }
  | { readonly kind: 'list'; readonly line: number; readonly items: readonly ConfigNode[] }
  | { readonly kind: 'scalar'; readonly line: number; readonly value: string | number | boolean | null }

/** A key with its own line and its value. */
export interface ConfigEntry {
  readonly line: number
  readonly node: ConfigNode
}

/** Bounds of a configuration file; an alias counts every time it is used. */
export const MAX_CONFIG_BYTES = 1_048_576
const MAX_NODES = 20_000
const MAX_NESTING = 24

/** Text that is not a configuration: YAML that does not parse, duplicate keys, or more than the bounds allow. */
class Unreadable extends Error {
  readonly line: number

  constructor(line: number, message: string) {
    super(message)
    this.line = line
  }
}

/** The file as a tree with line numbers, or everything that makes it unreadable. */
export function readYaml(text: string): { root: ConfigNode } | { problems: readonly Problem[] } {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) {
    return { problems: [{ line: 1, path: '', message: `the file is larger than ${MAX_CONFIG_BYTES} bytes` }] }
  }
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    merge: false,
    version: '1.2',
    schema: 'core',
  })
  const faults = [...document.errors, ...document.warnings]
  if (faults.length > 0) return { problems: faults.map((fault) => yamlProblem(fault, lines)) }
  const nodes = { left: MAX_NODES }
  const convert = (node: Node | null | undefined, line: number, depth: number): ConfigNode => {
    const at = node?.range ? lines.linePos(node.range[0]).line : line
    if (--nodes.left < 0) throw new Unreadable(at, `more than ${MAX_NODES} values, aliases included`)
    if (depth > MAX_NESTING) throw new Unreadable(at, `nested deeper than ${MAX_NESTING} levels`)
    if (node === null || node === undefined) return { kind: 'scalar', line: at, value: null }
    if (isAlias(node)) return convert(node.resolve(document), at, depth + 1)
    if (isSeq(node)) {
      return { kind: 'list', line: at, items: node.items.map((item) => convert(item as Node, at, depth + 1)) }
    }
    if (isMap(node)) {
      const entries = new Map<string, ConfigEntry>()
      for (const pair of node.items) {
        const key = pair.key
        if (!isScalar(key) || key.value === null) throw new Unreadable(at, 'a key must be plain text')
        const keyLine = key.range ? lines.linePos(key.range[0]).line : at
        entries.set(String(key.value), {
          line: keyLine,
          node: convert(pair.value as Node | null, keyLine, depth + 1),
        })
      }
      return { kind: 'map', line: at, entries }
    }
    return { kind: 'scalar', line: at, value: scalarValue(node, at) }
  }
  try {
    return { root: convert(document.contents as Node | null, 1, 0) }
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return { problems: [{ line: error.line, path: '', message: error.message }] }
  }
}

function scalarValue(node: Node, line: number): string | number | boolean | null {
  const value: unknown = isScalar(node) ? node.value : undefined
  if (
    value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'boolean'
  ) {
    return value
  }
  throw new Unreadable(line, 'a value of a kind that this file does not use')
}

function yamlProblem(fault: YAMLError, lines: LineCounter): Problem {
  const line = lines.linePos(fault.pos[0]).line
  // The parser's own message can repeat text of the file, which may be a secret typed into the wrong place.
  const message =
    fault.code === 'DUPLICATE_KEY'
      ? 'the same key stands here twice'
      : fault.code === 'MULTIPLE_DOCS'
        ? 'the file holds more than one YAML document'
        : `not valid YAML (${cut(fault.code.toLowerCase().replaceAll('_', ' '))})`
  return { line, path: '', message }
}
