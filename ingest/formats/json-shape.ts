/**
 * Which members of a JSON object a format reads. Each watched path has a slot; both parsers fill slots,
 * so what a field means is written once, whichever parser saw it.
 */
export class ShapeNode {
  readonly slot: number
  /** Dotted path for messages. */
  readonly path: string
  readonly key: string
  readonly #keyBytes: Uint8Array
  readonly children = new Map<string, ShapeNode>()
  /** Children by the length of their key in bytes: most keys of a log line fail at this first look. */
  readonly #byLength: (ShapeNode[] | undefined)[] = []

  constructor(slot: number, key: string, path: string) {
    this.slot = slot
    this.key = key
    this.path = path
    this.#keyBytes = new TextEncoder().encode(key)
  }

  add(child: ShapeNode): void {
    this.children.set(child.key, child)
    const length = child.#keyBytes.length
    while (this.#byLength.length <= length) this.#byLength.push(undefined)
    const same = this.#byLength[length]
    if (same === undefined) this.#byLength[length] = [child]
    else same.push(child)
  }

  /** The child whose key stands in the bytes between `start` and `end`. */
  find(bytes: Uint8Array, start: number, end: number): ShapeNode | null {
    const length = end - start
    if (length >= this.#byLength.length) return null
    const candidates = this.#byLength[length]
    if (candidates === undefined) return null
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (candidate.#matches(bytes, start)) return candidate
    }
    return null
  }

  #matches(bytes: Uint8Array, start: number): boolean {
    const key = this.#keyBytes
    for (let i = 0; i < key.length; i++) if (key[i] !== bytes[start + i]) return false
    return true
  }
}

/** At most this many watched paths, so that a scanner's tables have a fixed size. */
export const MAX_SLOTS = 128

export class ShapeBuilder {
  readonly root = new ShapeNode(0, '', '')
  readonly #nodes: ShapeNode[] = [this.root]

  /** Slot of a path; the same path always has the same slot. */
  slot(...path: readonly string[]): number {
    let node = this.root
    for (const key of path) {
      let child = node.children.get(key)
      if (child === undefined) {
        if (this.#nodes.length >= MAX_SLOTS)
          throw new RangeError(`more than ${MAX_SLOTS} fields are read from a line`)
        const name = node === this.root ? key : `${node.path}.${key}`
        child = new ShapeNode(this.#nodes.length, key, name)
        this.#nodes.push(child)
        node.add(child)
      }
      node = child
    }
    return node.slot
  }

  build(): Shape {
    return { root: this.root, nodes: this.#nodes }
  }
}

/** A finished shape; `nodes[slot]` is the node of a slot. */
export interface Shape {
  readonly root: ShapeNode
  readonly nodes: readonly ShapeNode[]
}
