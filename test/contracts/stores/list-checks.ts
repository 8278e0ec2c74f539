import { expect } from 'vitest'
import { alert, at, checkpoint, NOWHERE, type StoreCheck } from './store-check.ts'

/** What a store promises about outbox, control list, requests, shared documents and logs. */
export const LIST_CHECKS: readonly StoreCheck[] = [
  {
    name: 'scouring changes nothing that is there, also not for the next process',
    run: async ({ store, reopen }) => {
      const owner = await store.open(1)
      await owner.commit(checkpoint(NOWHERE, at(1), { kept: 'kept', gone: 'gone' }))
      await owner.commit(checkpoint(at(1), at(2), {}, ['gone']))
      await owner.appendOutbox([alert('a')], 2)
      await store.putDocument('note', 0, 'one')
      await store.appendLine('log', 'first')
      await store.scour()
      await owner.commit(checkpoint(at(2), at(3), { later: 'later' }))
      const after = await reopen()
      const read = await after.read(1, ['kept', 'gone', 'later'])
      expect(read.map((value) => value && Buffer.from(value).toString())).toEqual([
        'kept',
        undefined,
        'later',
      ])
      expect((await after.readOutbox(1, 0, 9)).map(({ id }) => id)).toEqual(['a'])
      expect(await after.getDocument('note')).toEqual({ version: 1, body: 'one' })
      expect((await after.readLines('log', 0, 9)).map(({ body }) => body)).toEqual(['first'])
    },
  },
  {
    name: 'outbox entries keep their order and count up from 1',
    run: async ({ store }) => {
      const owner = await store.open(1)
      const ids = Array.from({ length: 25 }, (_, i) => `id-${i}`)
      for (const id of ids.slice(0, 10)) await owner.appendOutbox([alert(id)], 0)
      await owner.appendOutbox(ids.slice(10).map(alert), 0)
      const entries = await store.readOutbox(1, 0, 100)
      expect(entries.map(({ id }) => id)).toEqual(ids)
      expect(entries.map(({ seq }) => seq)).toEqual(ids.map((_, i) => i + 1))
      expect(entries[3]).toEqual({ seq: 4, ...alert('id-3') })
      expect((await store.readOutbox(1, 7, 3)).map(({ seq }) => seq)).toEqual([8, 9, 10])
      expect(await store.readOutbox(1, 25, 3)).toEqual([])
    },
  },
  {
    name: 'an outbox id is added once, whoever asks',
    run: async ({ store }) => {
      const owner = await store.open(1)
      expect(await owner.appendOutbox([alert('a'), alert('b'), alert('a')], 0)).toEqual([true, true, false])
      expect(await owner.appendOutbox([{ id: 'b', kind: 'decision', body: 'other' }, alert('c')], 0)).toEqual(
        [false, true],
      )
      const together = await Promise.all([
        owner.appendOutbox([alert('d')], 0),
        owner.appendOutbox([alert('d')], 0),
      ])
      expect(together.flat().filter(Boolean).length).toBe(1)
      const next = await store.open(1)
      expect(await next.appendOutbox([alert('a')], 0)).toEqual([false])
      const entries = await store.readOutbox(1, 0, 100)
      expect(entries.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd'])
      expect(entries[1]).toEqual({ seq: 2, ...alert('b') })
    },
  },
  {
    name: 'the next owner learns how far outputs were made, also behind the position',
    run: async ({ store, reopen }) => {
      const owner = await store.open(1)
      expect(owner.published).toBe(-1)
      await owner.commit(checkpoint(NOWHERE, at(4), { a: '1' }))
      await owner.appendOutbox([alert('a')], 7)
      await owner.appendOutbox([alert('b')], 9)
      // What is repeated after a crash comes from earlier records.
      await owner.appendOutbox([alert('a')], 7)
      expect((await store.open(1)).published).toBe(9)
      const again = await (await reopen()).open(1)
      expect(again.published).toBe(9)
      await again.trim(2, 0)
      expect((await (await reopen()).open(1)).published).toBe(9)
    },
  },
  {
    name: 'watchers wake when an outbox grows, until they stop',
    run: async ({ store }) => {
      const owner = await store.open(6)
      const seen: number[] = []
      let wake: () => void = () => undefined
      const stop = await store.watchOutbox((partition) => {
        seen.push(partition)
        wake()
      })
      const woken = new Promise<void>((resolve, reject) => {
        wake = resolve
        setTimeout(() => reject(new Error('nobody was woken')), 5_000).unref()
      })
      await owner.appendOutbox([alert('a')], 0)
      await woken
      await stop()
      const count = seen.length
      await owner.appendOutbox([alert('b')], 0)
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(seen.length).toBe(count)
      expect(new Set(seen)).toEqual(new Set([6]))
    },
  },
  {
    name: 'control records count up and are read from a bound',
    run: async ({ store }) => {
      const owner = await store.open(1)
      const seqs: number[] = []
      for (let i = 0; i < 5; i++) {
        seqs.push(await owner.appendControl({ afterOffset: 10 * i - 1, kind: 'tick', body: `{"i":${i}}` }))
      }
      expect(seqs).toEqual([1, 2, 3, 4, 5])
      expect(await owner.control(3)).toEqual([
        { seq: 4, afterOffset: 29, kind: 'tick', body: '{"i":3}' },
        { seq: 5, afterOffset: 39, kind: 'tick', body: '{"i":4}' },
      ])
      expect(await owner.control(5)).toEqual([])
    },
  },
  {
    name: 'requests wait in order until settled',
    run: async ({ store }) => {
      for (const id of ['c', 'a', 'b', 'a'])
        await store.request(4, { id, kind: 'accept', body: `{"id":"${id}"}` })
      const owner = await store.open(4)
      expect((await owner.requests()).map(({ id }) => id)).toEqual(['c', 'a', 'b'])
      expect((await owner.requests())[1]).toEqual({ id: 'a', kind: 'accept', body: '{"id":"a"}' })
      await owner.settleRequests(['a', 'unknown'])
      expect((await owner.requests()).map(({ id }) => id)).toEqual(['c', 'b'])
      await owner.settleRequests(['c', 'b'])
      expect(await owner.requests()).toEqual([])
    },
  },
  {
    name: 'trimming removes up to the bounds and numbers go on',
    run: async ({ store, reopen }) => {
      const owner = await store.open(1)
      await owner.appendOutbox(['a', 'b', 'c'].map(alert), 0)
      for (let i = 0; i < 3; i++) await owner.appendControl({ afterOffset: i, kind: 'tick', body: '{}' })
      await owner.trim(2, 1)
      expect((await store.readOutbox(1, 0, 10)).map(({ seq }) => seq)).toEqual([3])
      expect((await owner.control(0)).map(({ seq }) => seq)).toEqual([2, 3])
      await owner.trim(3, 3)
      expect(await store.readOutbox(1, 0, 10)).toEqual([])
      const again = await reopen()
      const next = await again.open(1)
      await next.appendOutbox([alert('d')], 0)
      expect((await again.readOutbox(1, 0, 10)).map(({ seq }) => seq)).toEqual([4])
      expect(await next.appendControl({ afterOffset: 9, kind: 'tick', body: '{}' })).toBe(4)
    },
  },
  {
    name: 'a document changes only from the version that was read',
    run: async ({ store }) => {
      expect(await store.getDocument('settings')).toEqual({ version: 0, body: '' })
      expect(await store.putDocument('settings', 0, 'one')).toBe(1)
      expect(await store.putDocument('settings', 0, 'lost')).toBe(null)
      expect(await store.putDocument('settings', 2, 'lost')).toBe(null)
      expect(await store.getDocument('settings')).toEqual({ version: 1, body: 'one' })
      const racers = await Promise.all([...'abcdefgh'].map((text) => store.putDocument('settings', 1, text)))
      expect(racers.filter((version) => version === 2).length).toBe(1)
      expect(racers.filter((version) => version === null).length).toBe(7)
      const winner = 'abcdefgh'[racers.indexOf(2)]
      expect(await store.getDocument('settings')).toEqual({ version: 2, body: winner })
      expect(await store.getDocument('other/name:1')).toEqual({ version: 0, body: '' })
    },
  },
  {
    name: 'lines of a log count up and are read from a bound',
    run: async ({ store }) => {
      const seqs = await Promise.all(
        Array.from({ length: 600 }, (_, i) => store.appendLine('audit', `line ${i}`)),
      )
      expect([...seqs].sort((a, b) => a - b)).toEqual(Array.from({ length: 600 }, (_, i) => i + 1))
      expect(await store.appendLine('audit', 'last \u2028 "\n\u00e9')).toBe(601)
      expect(await store.appendLine('receipts', 'first')).toBe(1)
      expect(await store.readLines('audit', 600, 10)).toEqual([{ seq: 601, body: 'last \u2028 "\n\u00e9' }])
      const some = await store.readLines('audit', 300, 4)
      expect(some.map(({ seq }) => seq)).toEqual([301, 302, 303, 304])
      expect(some[0]!.body).toBe(`line ${seqs.indexOf(301)}`)
      expect((await store.readLines('audit', 0, 10_000)).length).toBe(601)
      expect(await store.readLines('nothing', 0, 10)).toEqual([])
    },
  },
  {
    name: 'trimming lines keeps the last and all numbers',
    run: async ({ store, reopen }) => {
      await store.trimLines('nothing', 9)
      await Promise.all(Array.from({ length: 600 }, (_, i) => store.appendLine('audit', `line ${i}`)))
      const all = await store.readLines('audit', 0, 10_000)
      const [, during] = await Promise.all([
        store.appendLine('audit', 'at the same time'),
        store.readLines('audit', 400, 10_000),
        store.trimLines('audit', 300),
      ])
      expect(during[0]).toEqual(all[400])
      expect((await store.readLines('audit', 0, 10_000)).slice(0, 300)).toEqual(all.slice(300))
      expect(await store.readLines('audit', 0, 2)).toEqual(all.slice(300, 302))
      await store.trimLines('audit', 200)
      expect((await store.readLines('audit', 0, 1))[0]!.seq).toBe(301)
      await store.trimLines('audit', 10_000)
      expect((await store.readLines('audit', 0, 10_000)).map(({ seq }) => seq)).toEqual([601])
      const again = await reopen()
      expect((await again.readLines('audit', 0, 10_000)).map(({ seq }) => seq)).toEqual([601])
      expect(await again.appendLine('audit', 'next')).toBe(602)
      expect((await again.readLines('audit', 601, 10)).map(({ body }) => body)).toEqual(['next'])
    },
  },
  {
    name: 'a store in order passes its check',
    run: async ({ store }) => {
      await store.check()
    },
  },
]
