import type { JsonAnswer } from './control-plane-server.ts'

/**
 * How one call goes wrong. `lost-answer`: done, and the connection ends. `ignored`: accepted and never done.
 * `late`: done after the next two reads.
 */
export type Fault =
  | 'too-many-requests'
  | 'conflict'
  | 'server-error'
  | 'cut-connection'
  | 'lost-answer'
  | 'ignored'
  | 'late'
  | 'garbage'

/** What the control plane says of a call that it refuses. */
export type Refusal = Extract<Fault, 'too-many-requests' | 'conflict' | 'server-error'>

interface Restorable<Snapshot> {
  snapshot(): Snapshot
  restore(snapshot: Snapshot): void
}

/** Makes calls of a stand-in go wrong, one by one. `late` restores a whole snapshot: right for one client at a time. */
export class InjectedFaults<Snapshot> {
  private readonly state: Restorable<Snapshot>
  private readonly faults: { readonly operation: RegExp; readonly fault: Fault; left: number }[] = []
  private late: { readonly apply: () => void; reads: number } | null = null

  constructor(state: Restorable<Snapshot>) {
    this.state = state
  }

  /** The next `times` calls of matching operations go wrong. */
  inject(operation: RegExp, fault: Fault, times = 1): void {
    this.faults.push({ operation, fault, left: times })
  }

  /** Injected faults that nothing ran into. */
  get unmet(): number {
    return this.faults.reduce((sum, { left }) => sum + left, 0)
  }

  /** What a call is answered: as `act` does, unless a fault waits for its operation. */
  respond(
    operation: string,
    isRead: boolean,
    act: () => JsonAnswer,
    refuse: (refusal: Refusal) => JsonAnswer,
  ): JsonAnswer | 'garbage' | null {
    this.settleLate(isRead)
    const entry = this.faults.find((one) => one.left > 0 && one.operation.test(operation))
    if (entry === undefined) return act()
    entry.left--
    switch (entry.fault) {
      case 'cut-connection':
        return null
      case 'garbage':
        return 'garbage'
      case 'lost-answer':
        act()
        return null
      case 'ignored':
      case 'late':
        return this.pretend(entry.fault, act)
      default:
        return refuse(entry.fault)
    }
  }

  /** Answers as if it had been done. */
  private pretend(fault: 'ignored' | 'late', act: () => JsonAnswer): JsonAnswer {
    const before = this.state.snapshot()
    const answer = act()
    const after = this.state.snapshot()
    this.state.restore(before)
    if (fault === 'late') this.late = { apply: () => this.state.restore(after), reads: 2 }
    return answer
  }

  private settleLate(isRead: boolean): void {
    if (this.late === null) return
    if (isRead && this.late.reads-- > 0) return
    this.late.apply()
    this.late = null
  }
}
