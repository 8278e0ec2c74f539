import { expect } from 'vitest'
import {
  alert,
  at,
  bytes,
  checkpoint,
  NOWHERE,
  refuses,
  type StoreCheck,
  scanned,
  texts,
} from './store-check.ts'

/** What a store promises about checkpoints and ownership. */
export const COMMIT_CHECKS: readonly StoreCheck[] = [
  {
    name: 'a fresh partition is empty',
    run: async ({ store }) => {
      const owner = await store.open(3)
      expect(owner).toMatchObject({ partition: 3, epoch: 1, position: NOWHERE })
      expect(await owner.get(['p:a'])).toEqual([undefined])
      expect(await scanned(store.scan(3, ''))).toEqual([])
      expect(await store.readOutbox(3, 0, 10)).toEqual([])
    },
  },
  {
    name: 'what was committed is read by owner and readers',
    run: async ({ store }) => {
      const owner = await store.open(1)
      const blob = Uint8Array.from({ length: 256 }, (_, i) => i)
      const puts = new Map([
        ['p:t:blob', blob],
        ['p:t:empty', new Uint8Array(0)],
        ['q', bytes('kept')],
      ])
      await owner.commit({ expected: NOWHERE, position: at(7), puts, deletes: [] })
      for (const values of [
        await owner.get(['q', 'absent', 'p:t:blob', 'p:t:empty', 'q']),
        await store.read(1, ['q', 'absent', 'p:t:blob', 'p:t:empty', 'q']),
      ]) {
        expect(values.map((value) => (value === undefined ? null : [...value]))).toEqual([
          [...bytes('kept')],
          null,
          [...blob],
          [],
          [...bytes('kept')],
        ])
      }
    },
  },
  {
    name: 'a value is the bytes at the time of the commit',
    run: async ({ store }) => {
      const owner = await store.open(1)
      const value = bytes('before')
      await owner.commit({ expected: NOWHERE, position: at(0), puts: new Map([['k', value]]), deletes: [] })
      value.fill(0)
      expect(await texts(owner, ['k'])).toEqual(['before'])
      const [read] = await owner.get(['k'])
      read!.fill(0)
      expect(await texts(owner, ['k'])).toEqual(['before'])
    },
  },
  {
    name: 'deletes take effect',
    run: async ({ store }) => {
      const owner = await store.open(1)
      await owner.commit(checkpoint(NOWHERE, at(0), { a: '1', b: '2' }))
      await owner.commit(checkpoint(at(0), at(1), { c: '3' }, ['a', 'never']))
      expect(await texts(owner, ['a', 'b', 'c'])).toEqual([undefined, '2', '3'])
      expect(await scanned(owner.scan(''))).toEqual([
        ['b', '2'],
        ['c', '3'],
      ])
    },
  },
  {
    name: 'a scan gives every key with the prefix once and no other',
    run: async ({ store }) => {
      const owner = await store.open(1)
      const puts = new Map<string, Uint8Array>()
      for (let i = 0; i < 2_500; i++) puts.set(`p:${i}`, bytes(String(i)))
      for (const key of ['p*', 'pp:1', 'q:1', '*', 'p?x', 'p[:]1', 'x\\y']) puts.set(key, bytes('odd'))
      await owner.commit({ expected: NOWHERE, position: at(0), puts, deletes: [] })
      const all = await scanned(owner.scan('p:'))
      expect(all.length).toBe(2_500)
      expect(new Map(all).get('p:2499')).toBe('2499')
      expect(await scanned(store.scan(1, 'p*'))).toEqual([['p*', 'odd']])
      expect(await scanned(store.scan(1, 'p['))).toEqual([['p[:]1', 'odd']])
      expect(await scanned(store.scan(1, 'x\\'))).toEqual([['x\\y', 'odd']])
      expect((await scanned(store.scan(1, ''))).length).toBe(2_507)
    },
  },
  {
    name: 'a commit from another position is refused and changes nothing',
    run: async ({ store }) => {
      const owner = await store.open(1)
      await owner.commit(checkpoint(NOWHERE, at(5), { a: '1' }))
      await refuses(owner.commit(checkpoint(NOWHERE, at(9), { a: '2', b: '2' })), 'STORE_CONFLICT')
      const wrongHash = { offset: 5, recordHash: 'ff' }
      await refuses(owner.commit(checkpoint(wrongHash, at(9), { a: '2' }, ['a'])), 'STORE_CONFLICT')
      expect(await texts(owner, ['a', 'b'])).toEqual(['1', undefined])
      await owner.commit(checkpoint(at(5), at(6), { a: '3' }))
      expect((await store.open(1)).position).toEqual(at(6))
    },
  },
  {
    name: 'a commit cut short happened whole or not at all',
    run: async ({ store, cut }) => {
      if (cut === undefined) return
      let current = store
      let position = NOWHERE
      const keys = Array.from({ length: 20 }, (_, i) => `k${i}`)
      for (let round = 0; round < 8; round++) {
        const owner = await current.open(2)
        expect(owner.position).toEqual(position)
        const next = at(position.offset + 10)
        const puts = Object.fromEntries(keys.map((key) => [key, `round ${round}`]))
        const before = await texts(owner, keys)
        current = await cut(() => owner.commit(checkpoint(position, next, puts)), round / 7)
        const survivor = await current.open(2)
        const values = await texts(survivor, keys)
        if (survivor.position.offset === next.offset) {
          expect(survivor.position).toEqual(next)
          expect(values).toEqual(keys.map(() => `round ${round}`))
        } else {
          expect(survivor.position).toEqual(position)
          expect(values).toEqual(before)
        }
        position = survivor.position
      }
    },
  },
  {
    name: 'readers see all of a commit or nothing of it',
    run: async ({ store }) => {
      const owner = await store.open(1)
      const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
      const puts = Object.fromEntries(keys.map((key) => [key, 'new']))
      let done = false
      const commit = owner.commit(checkpoint(NOWHERE, at(0), puts)).then(() => {
        done = true
      })
      for (let i = 0; i < 100 && !done; i++) {
        const seen = (await store.read(1, keys)).filter((value) => value !== undefined).length
        expect([0, keys.length]).toContain(seen)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await commit
      expect(new Set(await texts(owner, keys))).toEqual(new Set(['new']))
    },
  },
  {
    name: 'an earlier owner is fenced in every writing call',
    run: async ({ store }) => {
      const old = await store.open(1)
      await old.commit(checkpoint(NOWHERE, at(0), { a: '1' }))
      await old.appendOutbox([alert('x')], 0)
      const owner = await store.open(1)
      expect(owner.epoch).toBeGreaterThan(old.epoch)
      expect(owner.position).toEqual(at(0))
      await refuses(old.commit(checkpoint(at(0), at(1), { a: '2' })), 'STORE_FENCED')
      await refuses(old.appendOutbox([alert('y')], 0), 'STORE_FENCED')
      await refuses(old.appendControl({ afterOffset: 0, kind: 'tick', body: '{}' }), 'STORE_FENCED')
      await refuses(old.settleRequests(['r']), 'STORE_FENCED')
      await refuses(old.trim(1, 1), 'STORE_FENCED')
      expect(await texts(owner, ['a'])).toEqual(['1'])
      expect((await store.readOutbox(1, 0, 10)).map(({ id }) => id)).toEqual(['x'])
      await owner.commit(checkpoint(at(0), at(1), { a: '3' }))
    },
  },
  {
    name: 'partitions do not touch each other',
    run: async ({ store }) => {
      const [one, two] = [await store.open(1), await store.open(2)]
      await one.commit(checkpoint(NOWHERE, at(4), { a: 'one' }))
      await two.commit(checkpoint(NOWHERE, at(8), { a: 'two' }))
      await one.appendOutbox([alert('x')], 0)
      expect(await two.appendOutbox([alert('x')], 0)).toEqual([true])
      expect(await texts(one, ['a'])).toEqual(['one'])
      expect(await texts(two, ['a'])).toEqual(['two'])
      expect(await store.partitions()).toEqual([1, 2])
    },
  },
  {
    name: 'everything survives reopening and the epoch goes on',
    run: async ({ store, reopen }) => {
      const owner = await store.open(1)
      await owner.commit(checkpoint(NOWHERE, at(4), { a: '1', b: '2' }))
      await owner.commit(checkpoint(at(4), at(5), { a: '2' }, ['b']))
      await owner.appendOutbox([alert('x'), alert('y')], 0)
      await owner.appendControl({ afterOffset: 4, kind: 'tick', body: '{"n":1}' })
      await store.request(1, { id: 'r', kind: 'accept', body: '{}' })
      await store.putDocument('settings', 0, '{"v":1}')
      await store.appendLine('audit', 'one')
      const again = await reopen()
      const next = await again.open(1)
      expect(next.epoch).toBeGreaterThan(owner.epoch)
      expect(next.position).toEqual(at(5))
      expect(await texts(next, ['a', 'b'])).toEqual(['2', undefined])
      expect((await again.readOutbox(1, 0, 10)).map(({ id, seq }) => `${seq} ${id}`)).toEqual(['1 x', '2 y'])
      expect(await next.appendOutbox([alert('x'), alert('z')], 0)).toEqual([false, true])
      expect((await again.readOutbox(1, 2, 10)).map(({ id, seq }) => `${seq} ${id}`)).toEqual(['3 z'])
      expect(await next.control(0)).toEqual([{ seq: 1, afterOffset: 4, kind: 'tick', body: '{"n":1}' }])
      expect((await next.requests()).map(({ id }) => id)).toEqual(['r'])
      expect(await again.getDocument('settings')).toEqual({ version: 1, body: '{"v":1}' })
      expect(await again.appendLine('audit', 'two')).toBe(2)
      expect(await again.partitions()).toEqual([1])
    },
  },
  {
    name: 'keys that not every store can hold are refused',
    run: async ({ store }) => {
      const owner = await store.open(1)
      for (const key of [
        '',
        'x'.repeat(513),
        'a b',
        'caf\u00e9',
        'a\nb',
        'position',
        'epoch',
        'outbox',
        'index',
      ]) {
        await expect(owner.commit(checkpoint(NOWHERE, at(0), { [key]: 'x' })), key).rejects.toThrow(
          RangeError,
        )
        await expect(owner.get([key]), key).rejects.toThrow(RangeError)
      }
      await owner.commit(checkpoint(NOWHERE, at(0), { [`p:${'x'.repeat(510)}`]: 'long' }))
    },
  },
]
