/**
 * Child process of the latency benchmark: the shortest chain that does the job. Reads one topic and puts a
 * block for the caller of each record at HAProxy, with our own adapter. Its one argument is a {@link BareTask}
 * as JSON; it says `ready` once partitions are assigned, and lifts the rules whose ids it is sent.
 */
import type { Principal } from '../core/event.ts'
import { wallTime } from '../core/time.ts'
import type { Rule } from '../enforcement/gateway.ts'
import { createHaproxyGateway } from '../enforcement/gateways/haproxy.ts'
import { KafkaClient } from '../ingest/sources/kafka-client.ts'
import type { BareTask } from './latency-children.ts'
import { DETECTION } from './latency-records.ts'

const task = JSON.parse(process.argv[2] ?? '') as BareTask
const never = new AbortController().signal
const { socketPath, mapFolder, brokers, topic } = task
const gateway = createHaproxyGateway({ name: 'bare', socketPath, mapFolder })
const client = new KafkaClient({ brokers, clientId: 'bare' })

function ruleOf(bytes: Uint8Array): Rule {
  const { principal } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { principal: Principal }
  return {
    id: `bare-${principal.label}`,
    action: 'block',
    scope: { kind: 'principal', principal },
    limit: null,
    until: wallTime(Date.now() + DETECTION.holdSeconds * 1_000),
  }
}

const member = await client.join(
  { groupId: 'bare', topics: [topic], fromBeginning: true, concurrency: 1, maxWaitMs: 100 },
  {
    joined: () => void process.send?.('ready'),
    left: () => undefined,
    failed: (error, again) => {
      if (!again) throw error
    },
    batch: async (batch) => {
      for (const { value, offset } of batch.messages) {
        await gateway.put(ruleOf(value), never)
        batch.resolve(offset)
      }
    },
  },
)

process.on('message', (id) => {
  if (typeof id === 'string') void gateway.remove(id, never)
})
process.once('disconnect', () => void member.close().then(() => client.close()))
