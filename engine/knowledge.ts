import {
  cutPrior,
  decodePriorSums,
  emptyPriorSums,
  encodePriorSums,
  PEAKS,
  PRIOR_SUMS_LENGTH,
  type Prior,
  type PriorSums,
  SURGES,
} from '../baseline/prior.ts'
import {
  BINS,
  type Calibration,
  type CalibrationCounts,
  cutCalibration,
  emptyCalibration,
  LEVELS_LENGTH,
} from './calibration.ts'

/** What is known about all callers, frozen. */
export interface Knowledge {
  readonly version: number
  readonly prior: Prior
  readonly calibration: Calibration
  /** Principals that the prior was learnt from. */
  readonly principals: number
}

/** The integer sums that knowledge is cut from. */
export interface Sums {
  readonly prior: PriorSums
  readonly calibration: CalibrationCounts
}

/** Knowledge is cut at multiples of this, in event time, and used one boundary later. */
export const BOUNDARY_MS = 600_000
/** Numbers in encoded sums. */
export const SUMS_LENGTH = PRIOR_SUMS_LENGTH + 2 * BINS + LEVELS_LENGTH
/** A cut that moves no mean by more than this many nats is not worth re-deriving every profile. */
const MATERIAL_CHANGE = 0.05

export function emptySums(): Sums {
  return { prior: emptyPriorSums(), calibration: emptyCalibration() }
}

export function cutKnowledge(sums: Sums, version: number): Knowledge {
  return {
    version,
    prior: cutPrior(sums.prior, version),
    calibration: cutCalibration(sums.calibration),
    principals: principalsIn(sums),
  }
}

function principalsIn(sums: Sums): number {
  return Math.max(...sums.prior.count)
}

/** Which version of the knowledge of all partitions a partition has taken. */
export interface Taken {
  readonly version: number
  /** Boundary up to which its sums reach, epoch ms. */
  readonly cutAt: number
  readonly hash: string
}

/** How far a partition's own cuts reach, and what it has taken of the others. */
export interface Standing {
  /** Boundary of its latest cut, epoch ms; 0 before the first. */
  readonly cutAt: number
  readonly taken: Taken | null
}

/**
 * Keeps the knowledge in force and the latest cut of the own sums. A partition goes by its own cuts until it
 * takes the first version that was merged over all partitions; from then on its cuts are there to be merged.
 * All are remembered as the sums they were cut from, so a restart has exactly the same answers.
 */
export class KnowledgeKeeper {
  readonly sums: Sums
  active: Knowledge
  private activeSums: Float64Array
  private pendingSums: Float64Array | null = null
  private boundary = 0
  /** The version of all partitions that was taken last. */
  private taken: Taken | null = null
  /** True when active, pending or taken changed since the last export. */
  private dirty = true

  /** Versions count up from `firstVersion`; profiles tell by them under which knowledge they were derived. */
  constructor(firstVersion = 0) {
    this.sums = emptySums()
    this.activeSums = encodeSums(this.sums)
    this.active = cutKnowledge(this.sums, firstVersion)
  }

  /**
   * Crosses the boundaries up to `now`: the waiting cut comes into force, a new one starts to wait. Where
   * boundaries passed without a call, the cut of the first of them has waited long enough as well: who calls
   * in between decides nothing.
   */
  observe(now: number): void {
    const boundary = Math.floor(now / BOUNDARY_MS)
    if (boundary === this.boundary) return
    const first = this.boundary === 0
    const passed = boundary - this.boundary
    this.boundary = boundary
    if (!first && this.pendingSums !== null && this.taken === null) {
      this.adopt(this.pendingSums)
      if (passed > 1) this.adopt(encodeSums(this.sums))
    }
    this.pendingSums = encodeSums(this.sums)
    this.dirty = true
  }

  /**
   * Takes a version that was merged over all partitions; it is in force from now on. False when this or a later
   * one was taken before: versions never go back.
   */
  take(taken: Taken, sums: Float64Array): boolean {
    if (this.taken !== null && taken.version <= this.taken.version) return false
    this.taken = taken
    this.adopt(sums)
    this.dirty = true
    return true
  }

  get standing(): Standing {
    return { cutAt: this.boundary * BOUNDARY_MS, taken: this.taken }
  }

  private adopt(sums: Float64Array): void {
    const next = cutKnowledge(decodeSums(sums), this.active.version + 1)
    this.activeSums = sums
    this.active = isMaterial(this.active.prior, next.prior)
      ? next
      : { ...this.active, calibration: next.calibration }
    this.adoptedPrior = this.active === next ? sums : this.adoptedPrior
  }

  /** The sums that the prior in force was cut from; older than `activeSums` when later cuts were immaterial. */
  private adoptedPrior: Float64Array = encodeSums(emptySums())

  export(): { frozen: Float64Array | null; sums: Float64Array } {
    const sums = encodeSums(this.sums)
    if (!this.dirty) return { frozen: null, sums }
    this.dirty = false
    const length = sums.length
    const frozen = new Float64Array(3 + 3 * length)
    frozen.set([this.active.version, this.boundary, this.pendingSums === null ? 0 : 1])
    frozen.set(this.adoptedPrior, 3)
    frozen.set(this.activeSums, 3 + length)
    if (this.pendingSums !== null) frozen.set(this.pendingSums, 3 + 2 * length)
    return { frozen, sums }
  }

  /** Takes what {@link export} gave, of this or an earlier release. */
  restore(frozen: Float64Array, sums: Float64Array, taken: Taken | null): void {
    this.taken = taken
    assignSums(this.sums, decodeSums(asNow(sums)))
    this.boundary = frozen[1]!
    this.adoptedPrior = rowOf(frozen, 0)
    this.activeSums = rowOf(frozen, 1)
    this.pendingSums = frozen[2] === 1 ? rowOf(frozen, 2) : null
    const version = frozen[0]!
    const adopted = decodeSums(this.adoptedPrior)
    this.active = {
      version,
      principals: principalsIn(adopted),
      prior: cutPrior(adopted.prior, version),
      calibration: cutCalibration(decodeSums(this.activeSums).calibration),
    }
    this.dirty = false
  }
}

/** The prior in force as {@link KnowledgeKeeper.export} froze it, for readers that own no partition. */
export function frozenPrior(frozen: Float64Array): Prior {
  return cutPrior(decodeSums(rowOf(frozen, 0)).prior, frozen[0]!)
}

/** One of the three rows of sums in a frozen export. */
function rowOf(frozen: Float64Array, row: number): Float64Array {
  const length = (frozen.length - 3) / 3
  return asNow(frozen.slice(3 + row * length, 3 + (row + 1) * length))
}

/** Sums as they are encoded now: what earlier builds did not count stands behind the rest of the prior's, and at the end. */
function asNow(values: Float64Array): Float64Array {
  if (values.length >= SUMS_LENGTH) return values
  const before = values.length - 2 * BINS
  const out = new Float64Array(SUMS_LENGTH)
  out.set(values.subarray(0, before))
  out.set(values.subarray(before), PRIOR_SUMS_LENGTH)
  return out
}

/** The latest cut of a partition's own sums, from what {@link KnowledgeKeeper.export} froze. */
export interface Cut {
  /** The boundary at which the sums stood like this, epoch ms. */
  readonly cutAt: number
  readonly sums: Float64Array
}

/** Reads the latest cut; null when there is none yet, or one of a release with other sums. */
export function frozenCut(frozen: Float64Array): Cut | null {
  if (frozen[2] !== 1) return null
  const sums = rowOf(frozen, 2)
  return sums.length === SUMS_LENGTH ? { cutAt: frozen[1]! * BOUNDARY_MS, sums } : null
}

function isMaterial(before: Prior, after: Prior): boolean {
  for (let i = 0; i < before.center.length; i++) {
    if (Math.abs(before.center[i]! - after.center[i]!) > MATERIAL_CHANGE) return true
    if (Math.abs(before.within[i]! / after.within[i]! - 1) > MATERIAL_CHANGE) return true
    if (Math.abs(before.between[i]! / after.between[i]! - 1) > MATERIAL_CHANGE) return true
  }
  for (let h = 0; h < 168; h++) {
    if (Math.abs(before.hours[h]! - after.hours[h]!) > MATERIAL_CHANGE / 168) return true
  }
  for (let o = 0; o < before.operations.length; o++) {
    if (Math.abs(before.operations[o]! - after.operations[o]!) > MATERIAL_CHANGE) return true
  }
  for (const name of PEAKS) {
    const now = after.peaks[name]
    if (before.peaks[name].some((share, b) => Math.abs(share - now[b]!) > MATERIAL_CHANGE)) return true
  }
  for (const name of SURGES) {
    const now = after.surges[name]
    if (before.surges[name].some((share, b) => Math.abs(share - now[b]!) > MATERIAL_CHANGE)) return true
  }
  return false
}

/** Sums as one row of {@link SUMS_LENGTH} numbers. */
export function encodeSums(sums: Sums): Float64Array {
  const prior = encodePriorSums(sums.prior)
  const out = new Float64Array(SUMS_LENGTH)
  out.set(prior)
  out.set(sums.calibration.events, prior.length)
  out.set(sums.calibration.dayMaxima, prior.length + BINS)
  out.set(sums.calibration.levels, prior.length + 2 * BINS)
  return out
}

/** Reads what {@link encodeSums} wrote. */
export function decodeSums(values: Float64Array): Sums {
  const length = PRIOR_SUMS_LENGTH
  return {
    prior: decodePriorSums(values.slice(0, length)),
    calibration: {
      events: values.slice(length, length + BINS),
      dayMaxima: values.slice(length + BINS, length + 2 * BINS),
      levels: values.slice(length + 2 * BINS),
    },
  }
}

function assignSums(target: Sums, source: Sums): void {
  target.prior.count.set(source.prior.count)
  target.prior.sum.set(source.prior.sum)
  target.prior.squares.set(source.prior.squares)
  target.prior.within.set(source.prior.within)
  target.prior.hours.set(source.prior.hours)
  target.prior.operations.set(source.prior.operations)
  for (const name of PEAKS) {
    target.prior.peaks[name].known.set(source.prior.peaks[name].known)
    target.prior.peaks[name].newcomers.set(source.prior.peaks[name].newcomers)
  }
  target.prior.owners.set(source.prior.owners)
  for (const name of SURGES) {
    target.prior.surges[name].settled.set(source.prior.surges[name].settled)
    target.prior.surges[name].early.set(source.prior.surges[name].early)
  }
  target.calibration.events.set(source.calibration.events)
  target.calibration.dayMaxima.set(source.calibration.dayMaxima)
  target.calibration.levels.set(source.calibration.levels)
}
