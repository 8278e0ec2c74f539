import { describe, expect, it } from 'vitest'
import type { DecisionDeskOptions } from '../../../enforcement/decision-desk.ts'
import {
  type Ask,
  DECISION_CHECKS,
  type DecisionCase,
  type DecisionCheckName,
  decisionContract,
  type Outcome,
  runDecisionCheck,
} from './decision-contract.ts'
import { CHECK_JOINED, CHECK_RAW, HTTP, RATE_LIMIT } from './decision-transports.ts'

for (const transport of [HTTP, CHECK_JOINED, CHECK_RAW, RATE_LIMIT]) decisionContract(transport)

/** A transport that asks, or is set up, in one wrong way. */
function wrong(
  change: (ask: Ask) => Ask,
  options: (options: DecisionDeskOptions) => DecisionDeskOptions = (as) => as,
): DecisionCase {
  return {
    name: 'twin',
    make: async (given) => {
      const { ask, close } = await CHECK_RAW.make(options(given))
      return { ask: change(ask), close }
    },
  }
}

const answers = (change: (outcome: Outcome) => Outcome) =>
  wrong((ask) => async (headers, address) => change(await ask(headers, address)))

const PASSED: Outcome = { passes: true, status: 200, reason: null, ruleId: null, retryAfter: null }

const TWINS: readonly {
  readonly name: string
  readonly failing: DecisionCheckName
  readonly twin: DecisionCase
}[] = [
  {
    name: 'lets forged tokens pass',
    failing: 'lets a verified caller pass, and refuses a forged, an expired and no token',
    twin: answers((outcome) => (outcome.reason === 'bad-signature' ? PASSED : outcome)),
  },
  {
    name: 'asks for an identity nowhere',
    failing: 'lets a verified caller pass, and refuses a forged, an expired and no token',
    twin: wrong(
      (ask) => ask,
      (given) => ({ ...given, requireIdentity: false }),
    ),
  },
  {
    name: 'does not say which decision refuses',
    failing: 'asks the list before the signature, names the decision, and forgets it when it is lifted',
    twin: answers((outcome) => ({ ...outcome, ruleId: null })),
  },
  {
    name: 'remembers its answers',
    failing: 'asks the list before the signature, names the decision, and forgets it when it is lifted',
    twin: wrong((ask) => {
      const known = new Map<string, Outcome>()
      return async (headers, address) => {
        const key = headers.join('\n')
        const outcome = known.get(key) ?? (await ask(headers, address))
        known.set(key, outcome)
        return outcome
      }
    }),
  },
  {
    name: 'does not say when to come back',
    failing: 'lets a throttle pass what it leaves, says when to come back, and counts no forged token',
    twin: answers((outcome) => ({ ...outcome, retryAfter: null })),
  },
  {
    name: 'asks twice for each call',
    failing: 'lets a throttle pass what it leaves, says when to come back, and counts no forged token',
    twin: wrong((ask) => async (headers, address) => {
      await ask(headers, address)
      return ask(headers, address)
    }),
  },
  {
    name: 'lets a call pass while another one is asked about',
    failing: 'lets exactly one of many simultaneous calls pass a throttle of one',
    twin: wrong((ask) => {
      let busy = false
      return async (headers, address) => {
        if (busy) return PASSED
        busy = true
        return ask(headers, address).finally(() => {
          busy = false
        })
      }
    }),
  },
  {
    name: 'takes the first of two values',
    failing: 'refuses a call in which two readers could find two callers',
    twin: wrong((ask) => (headers, address) => {
      const seen = new Set<string>()
      const first = headers.filter((_, i) => {
        const name = headers[i - (i % 2)] ?? ''
        if (i % 2 === 1) return !seen.has(`${name}:${i - 1}`)
        const known = seen.has(name)
        seen.add(known ? `${name}:${i}` : name)
        return !known
      })
      return ask(first, address)
    }),
  },
  {
    name: 'believes every identity header',
    failing: 'believes identity headers only when told to',
    twin: wrong(
      (ask) => ask,
      (given) => ({ ...given, trustHeaders: { consumer: 'x-consumer-id', credential: null } }),
    ),
  },
  {
    name: 'believes the address that a client claims',
    failing: 'refuses a caller in one network, whatever address it claims',
    twin: wrong((ask) => (headers, address) => {
      const at = headers.indexOf('x-forwarded-for')
      return ask(headers, at < 0 ? address : (headers[at + 1] ?? address))
    }),
  },
  {
    name: 'lets pass when nobody can tell',
    failing: 'fails closed when its list is stale, and refuses whom it knows all the same',
    twin: answers((outcome) => (outcome.status === 503 ? PASSED : outcome)),
  },
  {
    name: 'says of everybody that nobody can tell once the list is stale',
    failing: 'fails closed when its list is stale, and refuses whom it knows all the same',
    twin: answers((outcome) =>
      outcome.reason === 'token-revoked' ? { ...outcome, status: 503, reason: 'deny-list-stale' } : outcome,
    ),
  },
]

describe('the decision contract', () => {
  it.each(TWINS)('rejects a transport that $name', async ({ failing, twin }) => {
    await expect(runDecisionCheck(failing, twin)).rejects.toMatchObject({ code: 'ERR_ASSERTION' })
  })

  it('has a twin for each check', () => {
    expect([...new Set(TWINS.map(({ failing }) => failing))].sort()).toEqual([...DECISION_CHECKS].sort())
  })
})
