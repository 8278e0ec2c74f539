import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/**
 * How much garbage may pile up in the heap before all of it is looked through. Not much more than what piles up while
 * buffers outside of the heap grow by 64 MB: V8 then collects anyway, and does most of that work at once instead of beside.
 */
const ROOM_BYTES = 134_217_728
/** A large heap has at least this share of itself as room, or it would be collected all the time. */
const MIN_PERCENT = 50
const MAX_PERCENT = 1_000

/** By how much the heap may grow over what lives in it before the next full collection, percent. */
export function growthPercent(liveBytes: number): number {
  const percent = Math.floor((100 * ROOM_BYTES) / Math.max(1, liveBytes))
  return Math.max(MIN_PERCENT, Math.min(percent, MAX_PERCENT))
}

/**
 * Makes full collections rare. Each takes a tenth of a second or two of one of the cores of a small machine, and
 * without this they come twice a second under load: V8 sizes its pauses by what lives in the heap, which is little here
 * (profiles lie outside of it). Costs {@link ROOM_BYTES} of memory, or half of what lives in the heap where that is
 * more. Call once per process.
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
