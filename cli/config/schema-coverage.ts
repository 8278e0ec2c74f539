import { Type } from '@sinclair/typebox'
import { count, secret, section, url, words } from './schema-parts.ts'

const gateway = () =>
  words({ description: 'Id of the gateway in this source: the value of `gateway.field`, else `gateway.id`.' })

const haproxyCounter = section(
  {
    kind: Type.Literal('haproxy', { description: 'HAProxy, asked at its Runtime API.' }),
    gateway: gateway(),
    socket: Type.String({ minLength: 1, maxLength: 4096, description: 'Path of the runtime socket.' }),
    frontends: Type.Array(words({ description: 'Name of a frontend.' }), {
      default: [],
      maxItems: 100,
      description: 'Frontends whose calls are logged to this source; all when none is given.',
    }),
  },
  { description: 'Requests that the frontends of an HAProxy process counted.' },
)

const nginxCounter = section(
  {
    kind: Type.Literal('nginx', { description: 'nginx, asked at its `stub_status` page.' }),
    gateway: gateway(),
    url: url('http', { description: 'Address of the `stub_status` page; nobody else should poll it.' }),
  },
  { description: 'Requests that an nginx counted.' },
)

/** What of a source's coverage is watched. */
export function coverageSection() {
  return section(
    {
      enabled: Type.Boolean({
        default: true,
        description: 'Notice when lines, a gateway or a field of this source go missing.',
      }),
      maxSilenceSeconds: Type.Optional(
        Type.Integer({
          minimum: 60,
          maximum: 604_800,
          unit: 'seconds',
          description:
            'A longer silence of the source or of one of its gateways is always an incident, also while the usual rhythm is not known yet. Without it only unusual silences are.',
        }),
      ),
      counters: Type.Array(Type.Union([haproxyCounter, nginxCounter]), {
        default: [],
        maxItems: 64,
        description: 'What the gateways themselves count, to compare with their lines.',
      }),
    },
    { default: {}, description: 'Noticing what is missing.' },
  )
}

/** How missing lines are looked for, of all sources. */
export function coverageTimingSection() {
  return section(
    {
      slotSeconds: count({
        default: 10,
        minimum: 2,
        maximum: 10,
        unit: 'seconds',
        description:
          'Lines are counted in slots of this length, and every window in which something can be missing is a number of slots, 6 at least. Shorter ones tell sooner, and need as many more lines a minute to tell the same. When it is changed, what is usual is learnt anew.',
      }),
    },
    { default: {}, description: 'Noticing what is missing: how fast.' },
  )
}

/** The dead-man switch. */
export function heartbeatSection() {
  return Type.Optional(
    section(
      {
        url: url('http', {
          description:
            'Address that gets a POST while Curfew judges calls; a monitor elsewhere raises the alarm when none comes.',
        }),
        intervalSeconds: count({
          default: 30,
          minimum: 5,
          maximum: 3_600,
          unit: 'seconds',
          description: 'Time between two heartbeats.',
        }),
        ...secret(
          'secret',
          'optional',
          'signing secret (`whsec_…`, Standard Webhooks), at least 24 characters',
          24,
        ),
      },
      { description: 'Tells a monitor outside that Curfew still judges calls.' },
    ),
  )
}
