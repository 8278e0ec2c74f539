import { refusal } from './gateway-format.ts'
import type { Mapping } from './gateway-mapping.ts'
import { named } from './gateway-names.ts'

/** Name that the documentation gives to the consumer of callers without credentials: many share it. */
const ANONYMOUS = 'anonymous'

/**
 * Apache APISIX: the default entry of its loggers (kafka-logger, http-logger, file-logger; `log-util.lua`), alone
 * or in an array. `request.headers.authorization` stands in it in clear and is never read.
 */
export const APISIX: Mapping = {
  name: 'apisix',
  members: {
    time: 'start_time',
    duration: 'latency',
    id: 'response.headers.x-request-id',
    clientIp: 'client_ip',
    status: 'response.status',
    upstream: 'upstream',
    consumer: 'consumer.username',
    decision: 'response.headers.x-curfew-decision',
    requestBytes: 'request.size',
    responseBytes: 'response.size',
    method: 'request.method',
    uri: 'request.uri',
    userAgent: 'request.headers.user-agent',
  },
  headers: { prefix: 'response.headers.', capitals: false },
  timeIs: 'start',
  durationUnitMs: 1,
  sealedBy: [],
  names: (m) => {
    const consumer = m.name('consumer')
    return { consumer: consumer === ANONYMOUS ? null : named(consumer) }
  },
  refusedBy: (m, status) => refusal(status, !m.states('upstream'), m.states('decision')),
}
