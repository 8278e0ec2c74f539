import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** How much garbage may pile up before all of the heap is looked through for it. */
const ROOM_BYTES = 268_435_456
/** V8 itself lets a heap grow by about this much between two full collections: beyond it nothing is gained. */
const USUAL_PERCENT = 110
const MAX_PERCENT = 1_000

/** By how much the heap may grow over what lives in it before the next full collection, percent; 0 leaves that to V8. */
export function growthPercent(liveBytes: number): number {
  const percent = Math.floor((100 * ROOM_BYTES) / Math.max(1, liveBytes))
  return percent <= USUAL_PERCENT ? 0 : Math.min(percent, MAX_PERCENT)
}

/**
 * Makes full collections of a small heap rare. Each holds up everything for a tenth of a second or two on a small
 * machine, and without this they come every few seconds under load: V8 sizes its pauses by what lives in the heap,
 * which is little here (profiles lie outside of it), and counts the client library's short-lived buffers as growth.
 * Costs at most {@link ROOM_BYTES} of memory. Heaps that large are left to V8. Call once per process.
 */
export function collectRarely(): void {
  const adjust = () => setFlagsFromString(`--heap-growing-percent=${growthPercent(liveBytes())}`)
  const observer = new PerformanceObserver((list) => {
    if (list.getEntries().some(isFull)) adjust()
  })
  observer.observe({ entryTypes: ['gc'] })
  adjust()
}

function isFull(entry: object): boolean {
  const { detail } = entry as { readonly detail?: { readonly kind?: number } }
  return detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR
}

/** What lives in the heap, right after a full collection. */
function liveBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name }) => !space_name.startsWith('new_'))
    .reduce((sum, space) => sum + space.space_used_size, 0)
}
