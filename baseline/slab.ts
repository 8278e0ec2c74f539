import { DERIVED_BYTES, FIXED_BYTES } from './layout.ts'

const PROFILES_PER_CHUNK = 512

interface Chunk {
  readonly bytes: Uint8Array
  readonly f64: Float64Array
  readonly f32: Float32Array
  readonly u32: Uint32Array
  readonly u16: Uint16Array
  readonly i16: Int16Array
}

/**
 * A window onto one profile in the slab. Reused for profile after profile so that the hot path allocates
 * nothing: never keep one across calls. `base` is the byte offset of the profile in the arrays.
 */
export interface ProfileView {
  slot: number
  base: number
  bytes: Uint8Array
  f64: Float64Array
  f32: Float32Array
  u32: Uint32Array
  u16: Uint16Array
  i16: Int16Array
  /** Byte offset of the derived fields within the profile. */
  readonly derived: number
}

/**
 * Fixed-stride memory for profiles: stored bytes first (fixed part, detector sections), derived fields
 * behind them. Off-heap, so a million profiles cost the garbage collector nothing.
 */
export class ProfileSlab {
  readonly storedBytes: number
  readonly stride: number
  readonly view: ProfileView
  private readonly chunks: Chunk[] = []
  private readonly free: number[] = []
  private used = 0

  /** `sectionBytes` is the room for detector sections; a `RangeError` when it is not a multiple of 8. */
  constructor(sectionBytes: number) {
    if (!Number.isInteger(sectionBytes) || sectionBytes < 0 || sectionBytes % 8 !== 0)
      throw new RangeError(`sectionBytes is ${sectionBytes}, which is not a multiple of 8`)
    this.storedBytes = FIXED_BYTES + sectionBytes
    this.stride = this.storedBytes + DERIVED_BYTES
    const empty = makeChunk(0)
    this.view = { slot: -1, base: 0, ...empty, derived: this.storedBytes }
  }

  /** Number of profiles in use. */
  get size(): number {
    return this.used - this.free.length
  }

  /** A zeroed profile. */
  allocate(): number {
    const recycled = this.free.pop()
    if (recycled !== undefined) return recycled
    const slot = this.used++
    if (slot % PROFILES_PER_CHUNK === 0) this.chunks.push(makeChunk(PROFILES_PER_CHUNK * this.stride))
    return slot
  }

  /** Zeroes the profile and makes its slot available again. */
  release(slot: number): void {
    const view = this.at(slot)
    view.bytes.fill(0, view.base, view.base + this.stride)
    this.free.push(slot)
  }

  /** Points the shared view at a profile. */
  at(slot: number): ProfileView {
    const view = this.view
    const chunk = this.chunks[(slot / PROFILES_PER_CHUNK) | 0]!
    view.slot = slot
    view.base = (slot % PROFILES_PER_CHUNK) * this.stride
    view.bytes = chunk.bytes
    view.f64 = chunk.f64
    view.f32 = chunk.f32
    view.u32 = chunk.u32
    view.u16 = chunk.u16
    view.i16 = chunk.i16
    return view
  }
}

function makeChunk(size: number): Chunk {
  const buffer = new ArrayBuffer(size)
  return {
    bytes: new Uint8Array(buffer),
    f64: new Float64Array(buffer),
    f32: new Float32Array(buffer),
    u32: new Uint32Array(buffer),
    u16: new Uint16Array(buffer),
    i16: new Int16Array(buffer),
  }
}
