import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { Envelope, EnvelopeHolder } from '../../../enforcement/envelope.ts'
import { EnvelopeBook } from '../../../enforcement/envelope-book.ts'
import {
  type EnvelopeCase,
  type EnvelopeCheckName,
  envelopeContract,
  runEnvelopeCheck,
} from './envelope-contract.ts'

const NOW = wallTime(Date.UTC(2026, 10, 25, 12, 0, 1))
const caller = (name: string): Principal => ({
  kind: 'consumer',
  id: `id-${name}`,
  label: name,
  verified: true,
})

/** The book of the decision endpoint, or what a twin makes of it. */
function bookCase(twin: (book: EnvelopeBook) => EnvelopeHolder = (book) => book): EnvelopeCase {
  return {
    name: 'decision endpoint',
    caller,
    make: async () => {
      const book = new EnvelopeBook('own')
      return {
        holder: twin(book),
        now: () => NOW,
        call: async (principal) => {
          const answer = book.ask([principal], NOW)
          if (answer?.exceeded != null) return answer.envelope.id
          book.count([principal], NOW)
          return null
        },
        close: async () => undefined,
      }
    },
  }
}

envelopeContract(bookCase())

/** The book with one method that is wrong. */
const wrong = (change: (book: EnvelopeBook) => Partial<EnvelopeHolder>) => (book: EnvelopeBook) =>
  ({
    name: book.name,
    inProcess: true,
    counts: book.counts,
    knows: () => true,
    list: () => book.list(),
    put: (envelope: Envelope) => book.put(envelope),
    remove: (ids: ReadonlySet<string>) => book.remove(ids),
    settle: () => book.settle(),
    ...change(book),
  }) satisfies EnvelopeHolder

const TWINS: readonly {
  readonly name: string
  readonly failing: EnvelopeCheckName
  readonly twin: (book: EnvelopeBook) => EnvelopeHolder
}[] = [
  {
    name: 'says that there is nothing',
    failing: 'lists what was put',
    twin: wrong(() => ({ list: async () => [] })),
  },
  {
    name: 'holds nobody',
    failing: 'refuses beyond the limit, in the name of the envelope, and nobody else',
    twin: wrong(() => ({ put: async () => undefined })),
  },
  {
    name: 'begins to count anew at each renewal',
    failing: 'is the same when put twice, and keeps its counts when renewed',
    twin: wrong((book) => ({
      put: async (envelope) => {
        await book.remove(new Set([envelope.id]))
        await book.put(envelope)
      },
    })),
  },
  {
    name: 'keeps the first limits',
    failing: 'is replaced by one with other limits',
    twin: wrong((book) => ({
      put: async (envelope) => {
        if ((await book.list()).every(({ id }) => id !== envelope.id)) await book.put(envelope)
      },
    })),
  },
  {
    name: 'removes all',
    failing: 'frees the caller when removed, and removes only that',
    twin: wrong((book) => ({
      remove: async () => book.remove(new Set((await book.list()).map(({ id }) => id))),
    })),
  },
  {
    name: 'holds on after the end',
    failing: 'holds nobody after its end',
    twin: wrong((book) => ({
      put: (envelope) => book.put({ ...envelope, until: wallTime(envelope.until + 3_600_000) }),
    })),
  },
]

describe('the envelope contract rejects a holder that', () => {
  it.each(TWINS)('$name', async ({ failing, twin }) => {
    await expect(runEnvelopeCheck(failing, bookCase(twin))).rejects.toThrow()
  })
})
