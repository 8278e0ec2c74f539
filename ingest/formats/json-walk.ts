import { MAX_DEPTH, type RejectReason } from '../format.ts'
import type { Shape, ShapeNode } from './json-shape.ts'

const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?=[\s,}\]])/y
const LITERAL = /(?:true|false|null)(?=[\s,}\]])/y
/** What some writers print for numbers that JSON does not have. */
const NOT_FINITE = /(?:NaN|-?Infinity|-?nan|-?inf)(?=[\s,}\]])/y
const SPACE = /[ \t\n\r]*/y

/** What a careful reading of a line found before its first damage. */
export interface Walk {
  /** By slot: complete scalars; arrays and objects only once closed (an object's content is not kept). */
  readonly values: unknown[]
  /** Paths that were stated more than once. Their values, and those below them, are absent. */
  readonly duplicates: readonly string[]
  /** Null when the line is one complete JSON object. */
  readonly damage: RejectReason | null
  /** Where reading stopped; the length of the text when it went through. */
  readonly stoppedAt: number
}

/** Stands for a closed object in {@link Walk.values}. */
export const CLOSED_OBJECT: object = Object.freeze({})

class Damage extends Error {}

/**
 * Reads JSON text member by member, so that duplicate keys, depth and the place of the first damage are
 * known, none of which `JSON.parse` tells. Recursion is bounded by {@link MAX_DEPTH}.
 */
class Walker {
  readonly values: unknown[] = []
  readonly duplicates: string[] = []
  readonly #blocked: boolean[] = []
  readonly #stated: boolean[] = []
  readonly #text: string
  position = 0
  damage: RejectReason | null = null

  constructor(text: string) {
    this.#text = text
  }

  line(shape: Shape): void {
    try {
      this.#space()
      if (this.#text[this.position] !== '{')
        this.#fail(this.position >= this.#text.length ? 'truncated' : 'not-json')
      this.#object(shape.root, 1)
      this.#space()
      if (this.position < this.#text.length) this.#fail('not-json')
    } catch (error) {
      if (!(error instanceof Damage)) throw error
    }
  }

  #fail(reason: RejectReason): never {
    this.damage = reason
    throw new Damage()
  }

  /** Damage is a truncation when nothing but an unfinished token is left. */
  #failHere(): never {
    const rest = this.#text.slice(this.position, this.position + 4_096)
    const unfinished =
      this.position >= this.#text.length ||
      (this.position + rest.length >= this.#text.length && /^(?:-?[\d.eE+-]*|[a-zA-Z]{1,8})$/.test(rest))
    return this.#fail(unfinished ? 'truncated' : 'not-json')
  }

  #space(): void {
    SPACE.lastIndex = this.position
    SPACE.test(this.#text)
    this.position = SPACE.lastIndex
  }

  #token(pattern: RegExp): string | null {
    pattern.lastIndex = this.position
    if (!pattern.test(this.#text)) return null
    const token = this.#text.slice(this.position, pattern.lastIndex)
    this.position = pattern.lastIndex
    return token
  }

  /** The string token at the position, quotes included. A loop: a pattern would recurse on long strings. */
  #string(): string {
    const text = this.#text
    const start = this.position
    if (text[start] !== '"') this.#failHere()
    let p = start + 1
    for (; p < text.length; p++) {
      const c = text.charCodeAt(p)
      if (c === 0x22) {
        this.position = p + 1
        return text.slice(start, p + 1)
      }
      if (c < 0x20) this.#fail('not-json')
      if (c !== 0x5c) continue
      ESCAPE.lastIndex = p
      if (!ESCAPE.test(text)) this.#fail(p + 6 > text.length ? 'truncated' : 'not-json')
      p = ESCAPE.lastIndex - 1
    }
    return this.#fail('truncated')
  }

  #expect(character: string): void {
    if (this.#text[this.position] !== character) this.#failHere()
    this.position++
  }

  #object(node: ShapeNode | null, depth: number): void {
    if (depth > MAX_DEPTH) this.#fail('too-deep')
    this.#expect('{')
    this.#space()
    if (this.#text[this.position] !== '}') this.#members(node, depth)
    this.#expect('}')
  }

  #members(node: ShapeNode | null, depth: number): void {
    for (;;) {
      const token = this.#string()
      const key: string = token.includes('\\') ? JSON.parse(token) : token.slice(1, -1)
      const child = node?.children.get(key) ?? null
      if (child !== null) this.#state(child)
      this.#space()
      this.#expect(':')
      this.#space()
      this.#value(child, depth)
      this.#space()
      if (this.#text[this.position] !== ',') return
      this.position++
      this.#space()
    }
  }

  /** Notes that a watched key was stated; at the second time neither statement is believed. */
  #state(node: ShapeNode): void {
    if (this.#stated[node.slot] === true && this.#blocked[node.slot] !== true) {
      this.duplicates.push(node.path)
      this.block(node)
    }
    this.#stated[node.slot] = true
  }

  /** Forgets and refuses the values of a node and of all below it. */
  block(node: ShapeNode): void {
    this.#blocked[node.slot] = true
    this.values[node.slot] = undefined
    for (const child of node.children.values()) this.block(child)
  }

  stated(node: ShapeNode): boolean {
    return this.#stated[node.slot] === true
  }

  #keep(node: ShapeNode | null, value: unknown): void {
    if (node !== null && this.#blocked[node.slot] !== true) this.values[node.slot] = value
  }

  #value(node: ShapeNode | null, depth: number): void {
    const c = this.#text[this.position]
    if (c === '"') {
      const token = this.#string()
      if (node !== null) this.#keep(node, JSON.parse(token))
    } else if (c === '{') {
      this.#object(node, depth + 1)
      this.#keep(node, CLOSED_OBJECT)
    } else if (c === '[') {
      const start = this.position
      this.#array(depth + 1)
      if (node !== null && this.damage === null)
        this.#keep(node, JSON.parse(this.#text.slice(start, this.position)))
    } else {
      this.#scalar(node)
    }
  }

  #scalar(node: ShapeNode | null): void {
    const token = this.#token(NUMBER) ?? this.#token(LITERAL)
    if (token !== null) {
      if (node !== null) this.#keep(node, JSON.parse(token))
      return
    }
    if (this.#token(NOT_FINITE) === null) this.#failHere()
    this.#keep(node, Number.NaN)
    this.damage = 'bad-number'
  }

  #array(depth: number): void {
    if (depth > MAX_DEPTH) this.#fail('too-deep')
    this.#expect('[')
    this.#space()
    if (this.#text[this.position] === ']') {
      this.position++
      return
    }
    for (;;) {
      this.#value(null, depth)
      this.#space()
      if (this.#text[this.position] === ']') break
      this.#expect(',')
      this.#space()
    }
    this.position++
  }
}

/**
 * Walks a line. When it is damaged, a top-level key that also stands somewhere behind the damage counts as
 * stated twice: the damage may have been made to hide the true one.
 */
export function walkLine(text: string, shape: Shape): Walk {
  const walker = new Walker(text)
  walker.line(shape)
  const duplicates = walker.duplicates
  if (walker.damage !== null && walker.position < text.length) {
    const rest = text.slice(walker.position)
    for (const node of shape.root.children.values()) {
      if (!rest.includes(`"${node.key}"`) || !walker.stated(node)) continue
      walker.block(node)
      duplicates.push(node.path)
    }
  }
  return { values: walker.values, duplicates, damage: walker.damage, stoppedAt: walker.position }
}
