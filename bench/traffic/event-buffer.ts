/** One call before it becomes a line. Times are whole epoch milliseconds. */
export interface Call {
  /** Completion. */
  time: number
  tenant: number
  /** Index of the caller in the world; -1 for a call without identity. */
  principal: number
  route: number
  /** Number of the object in the tenant's object space; -1 for none. */
  object: number
  /** Page of a list, seed of a search term; 0 for none. */
  page: number
  /** -1 when the response states none. */
  records: number
  bytes: number
  requestBytes: number
  latency: number
  status: number
  /** IPv4 as an unsigned number. */
  ip: number
  agent: number
  /** Number of the caller's token; -1 for callers with an API key. */
  token: number
  /** 1 when the gateway itself refused the call. */
  refused: number
  /** Index of the episode that the call belongs to; -1 for none. */
  episode: number
}

/** Takes calls, in any order. The object passed in is reused by the caller: copy what is kept. */
export interface CallSink {
  add(call: Call): void
}

const FIELDS = [
  'time',
  'tenant',
  'principal',
  'route',
  'object',
  'page',
  'records',
  'bytes',
  'requestBytes',
  'latency',
  'status',
  'ip',
  'agent',
  'token',
  'refused',
  'episode',
] as const

export function emptyCall(): Call {
  return {
    time: 0,
    tenant: 0,
    principal: -1,
    route: 0,
    object: -1,
    page: 0,
    records: -1,
    bytes: 0,
    requestBytes: 0,
    latency: 0,
    status: 200,
    ip: 0,
    agent: 0,
    token: -1,
    refused: 0,
    episode: -1,
  }
}

const WIDTH = FIELDS.length
/** Calls of one buffer that still sort by one exact number: 2^22, with 2^30 milliseconds. */
const MAX_CALLS = 4_194_304

/** The calls of a stretch of time, packed: 128 bytes each. */
export class EventBuffer implements CallSink {
  private values = new Float64Array(WIDTH * 256)
  count = 0

  add(call: Call): void {
    if (this.count === MAX_CALLS) throw new Error(`more than ${MAX_CALLS} calls in one stretch of time`)
    let at = this.count++ * WIDTH
    if (at === this.values.length) {
      const grown = new Float64Array(at * 2)
      grown.set(this.values)
      this.values = grown
    }
    const v = this.values
    v[at++] = call.time
    v[at++] = call.tenant
    v[at++] = call.principal
    v[at++] = call.route
    v[at++] = call.object
    v[at++] = call.page
    v[at++] = call.records
    v[at++] = call.bytes
    v[at++] = call.requestBytes
    v[at++] = call.latency
    v[at++] = call.status
    v[at++] = call.ip
    v[at++] = call.agent
    v[at++] = call.token
    v[at++] = call.refused
    v[at] = call.episode
  }

  /** Copies the call at `index` into `call`. */
  read(index: number, call: Call): void {
    const v = this.values
    let at = index * WIDTH
    call.time = v[at++]!
    call.tenant = v[at++]!
    call.principal = v[at++]!
    call.route = v[at++]!
    call.object = v[at++]!
    call.page = v[at++]!
    call.records = v[at++]!
    call.bytes = v[at++]!
    call.requestBytes = v[at++]!
    call.latency = v[at++]!
    call.status = v[at++]!
    call.ip = v[at++]!
    call.agent = v[at++]!
    call.token = v[at++]!
    call.refused = v[at++]!
    call.episode = v[at]!
  }

  /** Every call, in the order in which they came; the object is reused. */
  forEach(visit: (call: Call) => void): void {
    const call = emptyCall()
    for (let i = 0; i < this.count; i++) {
      this.read(i, call)
      visit(call)
    }
  }

  /** Indices in order of time; calls of one millisecond in an order that says nothing. */
  order(from: number): Uint32Array {
    const keys = new Float64Array(this.count)
    for (let i = 0; i < this.count; i++) {
      keys[i] = (this.values[i * WIDTH]! - from) * MAX_CALLS + i
    }
    keys.sort()
    return Uint32Array.from(keys, (key) => key % MAX_CALLS)
  }
}
