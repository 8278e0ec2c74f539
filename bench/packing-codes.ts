import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { pack, packedBound, unpack } from '../baseline/packing.ts'

/** One way of storing bytes that are mostly zero. Both functions may use scratch memory, as the codec does. */
export interface PackingCode {
  readonly name: string
  /** Bytes aligned to 4; the result is good until the next call. */
  encode(bytes: Uint8Array): Uint8Array
  decode(packed: Uint8Array, size: number): Uint8Array
}

/** More than any profile has in memory. */
const MAX_BYTES = 8_192
const SHORTEST_RUN = 2
const LONGEST_RUN = 128

const room = new Uint8Array(packedBound(MAX_BYTES))
const back = new Uint8Array(MAX_BYTES)

/** What is stored, and what was weighed against it. */
export const PACKING_CODES: readonly PackingCode[] = [
  {
    name: 'bits of groups and bytes',
    encode: (bytes) => room.subarray(0, pack(bytes, bytes.length, room, 0)),
    decode(packed, size) {
      if (!unpack(packed, 0, back, size)) throw new Error('what was packed cannot be unpacked')
      return back.subarray(0, size)
    },
  },
  { name: 'bits of bytes', encode: encodeBits, decode: decodeBits },
  { name: 'runs of zeros', encode: encodeRuns, decode: decodeRuns },
  {
    name: 'deflate, level 1',
    encode: (bytes) => deflateRawSync(bytes, { level: 1 }),
    decode: (packed) => inflateRawSync(packed, { maxOutputLength: MAX_BYTES }),
  },
]

/** Per 8 bytes one that says which of them are not zero, then these. */
function encodeBits(bytes: Uint8Array): Uint8Array {
  let at = 0
  for (let group = 0; group < bytes.length; group += 8) {
    const bitsAt = at++
    let bits = 0
    for (let i = 0; i < 8; i++) {
      const byte = bytes[group + i] ?? 0
      if (byte === 0) continue
      bits |= 1 << i
      room[at++] = byte
    }
    room[bitsAt] = bits
  }
  return room.subarray(0, at)
}

function decodeBits(packed: Uint8Array, size: number): Uint8Array {
  back.fill(0, 0, size)
  let at = 0
  for (let group = 0; group < size; group += 8) {
    const bits = packed[at++]!
    for (let i = 0; i < 8; i++) if ((bits & (1 << i)) !== 0) back[group + i] = packed[at++]!
  }
  return back.subarray(0, size)
}

/** Runs of up to 128: a byte of 128 and more for zeros, below for so many bytes that follow. */
function encodeRuns(bytes: Uint8Array): Uint8Array {
  let at = 0
  for (let i = 0; i < bytes.length; ) {
    const zeros = zerosFrom(bytes, i)
    if (zeros >= SHORTEST_RUN || i + zeros === bytes.length) {
      room[at++] = LONGEST_RUN + zeros - 1
      i += zeros
      continue
    }
    const lengthAt = at++
    const from = i
    while (i < bytes.length && i - from < LONGEST_RUN) {
      if (bytes[i] === 0 && zerosFrom(bytes, i) >= SHORTEST_RUN) break
      room[at++] = bytes[i++]!
    }
    room[lengthAt] = i - from - 1
  }
  return room.subarray(0, at)
}

function zerosFrom(bytes: Uint8Array, from: number): number {
  let at = from
  while (at < bytes.length && at - from < LONGEST_RUN && bytes[at] === 0) at++
  return at - from
}

function decodeRuns(packed: Uint8Array, size: number): Uint8Array {
  back.fill(0, 0, size)
  let to = 0
  for (let at = 0; at < packed.length; ) {
    const length = packed[at++]!
    if (length >= LONGEST_RUN) {
      to += length - LONGEST_RUN + 1
      continue
    }
    for (let i = 0; i <= length; i++) back[to++] = packed[at++]!
  }
  return back.subarray(0, size)
}
