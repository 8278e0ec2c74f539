/** What a gateway says it has served since it started. */
export interface TrafficTotal {
  /** Which process counts; another one counts from 0 again. */
  readonly epoch: string
  /** Requests answered; those still under way and our own questions are not in it. */
  readonly requests: number
}

/**
 * A gateway's own count of requests, to hold its log against. `total` only reads. It throws
 * `GATEWAY_UNREACHABLE` (retriable) when the gateway does not answer or answers something else: a number that is
 * not sure is never given. Nothing but numbers and the name of a process is taken from an answer.
 */
export interface TrafficCounter {
  /** Id of the gateway in its source. */
  readonly gateway: string
  total(stop: AbortSignal): Promise<TrafficTotal>
}
