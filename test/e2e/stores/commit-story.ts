import type { Checkpoint, Position } from '../../../baseline/store.ts'

/** A fixed sequence of checkpoints: the state after number n follows from n alone. */
const KEYS = 50
const PADDING = 'x'.repeat(400)

export function positionAfter(n: number): Position {
  return n === 0
    ? { offset: -1, recordHash: '' }
    : { offset: n, recordHash: n.toString(16).padStart(64, '0') }
}

/** Checkpoint number n, from 1. */
export function checkpointOf(n: number): Checkpoint {
  const puts = new Map<string, Uint8Array>()
  for (let i = 0; i < 20; i++)
    puts.set(`k:${(n * 7 + i) % KEYS}`, new TextEncoder().encode(`${n} ${PADDING}`))
  return {
    expected: positionAfter(n - 1),
    position: positionAfter(n),
    puts,
    deletes: [`k:${(n * 11) % KEYS}`],
  }
}

/** For every key of the state after checkpoint n, the number of the checkpoint that wrote it. */
export function stateAfter(n: number): Record<string, number> {
  const state: Record<string, number> = {}
  // Every key has been written or deleted again within the last 60 checkpoints.
  for (let step = Math.max(1, n - 200); step <= n; step++) {
    const { puts, deletes } = checkpointOf(step)
    for (const key of puts.keys()) state[key] = step
    for (const key of deletes) delete state[key]
  }
  return state
}
