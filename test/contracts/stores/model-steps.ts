import fc from 'fast-check'
import { expect } from 'vitest'
import type { PartitionStore, StateStore } from '../../../baseline/store.ts'
import { MemoryDisk, MemoryStore } from './memory-store.ts'

/** One thing that is done to both stores; `owner` picks among the owners opened so far, old ones included. */
type Step =
  | { readonly do: 'open' }
  | { readonly do: 'reopen' }
  | {
      readonly do: 'commit'
      readonly owner: number
      readonly stale: boolean
      readonly puts: readonly (readonly [string, Uint8Array])[]
      readonly deletes: readonly string[]
    }
  | { readonly do: 'outbox'; readonly owner: number; readonly ids: readonly string[] }
  | { readonly do: 'control'; readonly owner: number; readonly after: number }
  | { readonly do: 'request'; readonly id: string }
  | { readonly do: 'settle'; readonly owner: number; readonly ids: readonly string[] }
  | { readonly do: 'trim'; readonly owner: number; readonly outbox: number; readonly control: number }
  | { readonly do: 'document'; readonly version: number; readonly body: string }
  | { readonly do: 'line'; readonly body: string }

const key = fc.constantFrom('p:a', 'p:b', 'p:c', 'q:a', 'q:*')
const id = fc.constantFrom('i', 'j', 'k', 'l', 'm', 'n')
const owner = fc.nat(3)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: fc.constant('open' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      owner,
      stale: fc.boolean(),
      puts: fc.array(fc.tuple(key, fc.uint8Array({ maxLength: 60 })), { maxLength: 4 }),
      deletes: fc.array(key, { maxLength: 2 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('outbox' as const), owner, ids: fc.array(id, { maxLength: 4 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('control' as const), owner, after: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('request' as const), id }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('settle' as const), owner, ids: fc.array(id, { maxLength: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('trim' as const), owner, outbox: fc.nat(12), control: fc.nat(6) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('document' as const),
      version: fc.nat(3),
      body: fc.string({ unit: 'binary' }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('line' as const), body: fc.string({ unit: 'binary' }) }),
  },
)

/** A store with every owner that was ever opened, so that replaced owners act as well. */
export interface Actor {
  store: StateStore
  owners: PartitionStore[]
  reopen(): Promise<StateStore>
}

async function act(actor: Actor, action: Step, offset: number): Promise<unknown> {
  const pick = (index: number) => actor.owners[Math.max(0, actor.owners.length - 1 - index)]!
  switch (action.do) {
    case 'open': {
      const opened = await actor.store.open(0)
      actor.owners.push(opened)
      return [opened.epoch, opened.position]
    }
    case 'reopen':
      actor.store = await actor.reopen()
      actor.owners = [await actor.store.open(0)]
      return [actor.owners[0]!.epoch, actor.owners[0]!.position, actor.owners[0]!.published]
    case 'commit': {
      const at = (value: number) => ({ offset: value, recordHash: value < 0 ? '' : 'ab' })
      const expected = at(action.stale && offset > 0 ? offset - 1 : offset)
      const puts = new Map(action.puts)
      return await pick(action.owner).commit({
        expected,
        position: at(offset + 1),
        puts,
        deletes: action.deletes,
      })
    }
    case 'outbox':
      return await pick(action.owner).appendOutbox(
        action.ids.map((name) => ({ id: name, kind: 'alert', body: name })),
        offset,
      )
    case 'control':
      return await pick(action.owner).appendControl({ afterOffset: action.after, kind: 'tick', body: '{}' })
    case 'request':
      return await actor.store.request(0, { id: action.id, kind: 'accept', body: '{}' })
    case 'settle':
      return await pick(action.owner).settleRequests(action.ids)
    case 'trim':
      return await pick(action.owner).trim(action.outbox, action.control)
    case 'document':
      return await actor.store.putDocument('d', action.version, action.body)
    case 'line':
      return await actor.store.appendLine('l', action.body)
  }
}

/** The answer of a call, or the code of its failure. */
async function answer(call: Promise<unknown>): Promise<unknown> {
  return await call.catch((error: unknown) => {
    if (error instanceof Error && 'code' in error) return { refused: error.code }
    throw error
  })
}

async function picture(actor: Actor): Promise<unknown> {
  const values: [string, number[]][] = []
  for await (const [name, value] of actor.store.scan(0, '')) values.push([name, [...value]])
  const newest = actor.owners.at(-1)!
  return {
    values: values.sort(([a], [b]) => (a < b ? -1 : 1)),
    outbox: await actor.store.readOutbox(0, 0, 100),
    control: await newest.control(0),
    requests: await newest.requests(),
    document: await actor.store.getDocument('d'),
    lines: await actor.store.readLines('l', 0, 100),
  }
}

/**
 * Runs random steps over a real store and the model: same answers, same refusals, same picture after each
 * step. `fresh` makes an empty store and says how to put it away.
 */
export async function expectModel(
  fresh: () => Promise<{ readonly actor: Actor; dispose(): Promise<void> }>,
  runs: number,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const disk = new MemoryDisk()
      const model: Actor = {
        store: new MemoryStore(disk),
        owners: [],
        reopen: async () => new MemoryStore(disk),
      }
      const { actor: real, dispose } = await fresh()
      try {
        for (const action of [{ do: 'open' } as const, ...steps, { do: 'reopen' } as const]) {
          const { offset } = disk.partitions.get(0)?.position ?? { offset: -1 }
          const wanted = await answer(act(model, action, offset))
          expect(await answer(act(real, action, offset)), action.do).toEqual(wanted)
          expect(await picture(real)).toEqual(await picture(model))
        }
      } finally {
        await dispose()
      }
    }),
    { numRuns: runs },
  )
}
