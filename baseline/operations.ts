import { hash32 } from '../core/hash.ts'

/**
 * Operations (method and route) are told apart by so many buckets: a service has tens to hundreds of them, a
 * caller uses a few. Two that share a bucket count as one.
 */
export const OPERATIONS = 64
/** Part of what is stored: the same in every process and build. */
const OPERATION_SEED = 0x6f70_7321

/** A hash of a route, equal in every process. */
export function hashOfRoute(route: string): number {
  return hash32(route, OPERATION_SEED)
}

/** The bucket of the operation that a method of a route is; `ofRoute` is {@link hashOfRoute}. */
export function operationAt(ofRoute: number, method: string): number {
  let h = ofRoute
  for (let i = 0; i < method.length; i++) h = Math.imul(h ^ method.charCodeAt(i), 0x0100_0193)
  return (h ^ (h >>> 15)) & (OPERATIONS - 1)
}
