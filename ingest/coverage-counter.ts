import type { AccessEvent } from '../core/event.ts'

/** Numbers per slot and gateway: lines, served calls, and served calls with principal, records and jti. */
const COUNTS = 5

/** What was counted of one gateway in one slot since the last report. */
export interface SlotCount {
  readonly source: string
  readonly gateway: string
  readonly slot: number
  readonly counts: readonly number[]
}

export interface CoverageCounterOptions {
  readonly slotMs: number
  /** Gateways that are told apart per source; further ones are counted under an empty name. */
  readonly maxGateways: number
}

/** Counts between two reports that are kept apart; what is more is counted in the newest slot. */
const MAX_CELLS = 100_000

/**
 * Counts every accepted line by source, gateway and slot of event time, for whoever watches coverage. Cheap
 * enough for each line: the cell of the last line is mostly that of the next.
 */
export class CoverageCounter {
  private readonly options: CoverageCounterOptions
  private readonly gateways = new Map<string, Set<string>>()
  private cells = new Map<string, SlotCount & { readonly counts: number[] }>()
  private last: (SlotCount & { readonly counts: number[] }) | null = null

  constructor(options: CoverageCounterOptions) {
    this.options = options
  }

  /** Counts one event of a source. A call dated after its receipt is counted when it was received. */
  count(source: string, event: AccessEvent): void {
    const time = event.receivedAt < event.time ? event.receivedAt : event.time
    const slot = Math.floor(time / this.options.slotMs)
    const { counts } = this.cellOf(source, event.gateway.id, slot)
    counts[0]! += 1
    const { status, principal, records, token } = event
    if (status === null || status < 200 || status >= 400) return
    counts[1]! += 1
    if (principal.verified) counts[2]! += 1
    if (records !== null) counts[3]! += 1
    if (token?.jti != null) counts[4]! += 1
  }

  /** How much waits to be taken: a reader that catches up passes many slots in a moment. */
  get size(): number {
    return this.cells.size
  }

  /** Everything counted since the last call. */
  take(): readonly SlotCount[] {
    const taken = [...this.cells.values()]
    this.cells = new Map()
    this.last = null
    return taken
  }

  private cellOf(source: string, id: string, slot: number): { readonly counts: number[] } {
    const { last } = this
    if (last !== null && last.slot === slot && last.source === source && last.gateway === id) return last
    const gateway = this.known(source, id)
    const key = `${slot}\u0000${source}\u0000${gateway}`
    let cell = this.cells.get(key)
    if (cell === undefined) {
      if (this.cells.size >= MAX_CELLS && last !== null && last.source === source) return last
      cell = { source, gateway, slot, counts: new Array<number>(COUNTS).fill(0) }
      if (this.cells.size < 2 * MAX_CELLS) this.cells.set(key, cell)
    }
    if (gateway === id) this.last = cell
    return cell
  }

  private known(source: string, id: string): string {
    let ids = this.gateways.get(source)
    if (ids === undefined) {
      ids = new Set()
      this.gateways.set(source, ids)
    }
    if (ids.has(id)) return id
    if (ids.size >= this.options.maxGateways) return ''
    ids.add(id)
    return id
  }
}
