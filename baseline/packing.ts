/** Bytes that share a byte of bits; the smallest unit of {@link pack}. */
const GROUP = 8
/** Bytes whose groups share a byte of bits. */
const BLOCK = GROUP * GROUP

/** The most bytes that so many can become: those without a zero among them. */
export function packedBound(size: number): number {
  return size + Math.ceil(size / GROUP) + Math.ceil(size / BLOCK)
}

/**
 * Writes the first `size` bytes without the zeros among them: per 64 bytes a byte that says which groups of 8 hold
 * anything, per such group a byte that says which of its bytes are not zero, then these bytes. `bytes` starts at a
 * multiple of 4 of its buffer and is zero from `size` to the next multiple of 8. Returns where the packed bytes end;
 * equal bytes give equal ones.
 */
export function pack(bytes: Uint8Array, size: number, out: Uint8Array, at: number): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
  for (let block = 0; block < size; block += BLOCK) {
    const blockAt = at++
    const end = block + BLOCK < size ? block + BLOCK : size
    let groups = 0
    for (let group = block, bit = 1; group < end; group += GROUP, bit <<= 1) {
      if ((words[group >> 2]! | words[(group >> 2) + 1]!) === 0) continue
      groups |= bit
      const groupAt = at++
      let present = 0
      for (let i = 0; i < GROUP; i++) {
        const byte = bytes[group + i]!
        if (byte === 0) continue
        present |= 1 << i
        out[at++] = byte
      }
      out[groupAt] = present
    }
    out[blockAt] = groups
  }
  return at
}

/**
 * Reads what {@link pack} wrote from `at` to the end of `packed` into the first `size` bytes of `out`, which has room for
 * them and more: nothing is allocated. False for bytes that `pack` does not write; `out` then holds whatever came before.
 */
export function unpack(packed: Uint8Array, at: number, out: Uint8Array, size: number): boolean {
  out.fill(0, 0, size)
  for (let block = 0; block < size; block += BLOCK) {
    if (at >= packed.length) return false
    const groups = packed[at++]!
    for (let g = 0; g < GROUP; g++) {
      if ((groups & (1 << g)) === 0) continue
      const present = at < packed.length ? packed[at++]! : 0
      if (present === 0) return false
      for (let i = 0; i < GROUP; i++) {
        if ((present & (1 << i)) === 0) continue
        const to = block + g * GROUP + i
        if (to >= size || at >= packed.length) return false
        const byte = packed[at++]!
        if (byte === 0) return false
        out[to] = byte
      }
    }
  }
  return at === packed.length
}
