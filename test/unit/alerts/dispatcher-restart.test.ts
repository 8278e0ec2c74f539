import { describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import { MINUTE_MS } from '../../../core/time.ts'
import { editing, of, plain, rig } from './dispatcher-rig.ts'
import { MemoryLedger } from './memory-ledger.ts'
import { unreachable } from './recording-sink.ts'
import { decisionStatus } from './samples.ts'

describe('restart', () => {
  it('delivers what was accepted before, remembers what was delivered and edits the same message', async () => {
    const ledger = new MemoryLedger()
    const before = editing()
    const first = await rig(before.make, ledger)
    first.statuses = [decisionStatus({ status: 'pending' })]
    void first.dispatcher.start(first.stop.signal)
    await first.dispatcher.accept(of(1))
    await first.clock.advance(5000)
    first.stop.abort()
    await first.clock.settle()
    await first.dispatcher.accept(of(2))

    const after = editing()
    const second = await rig(after.make, ledger)
    second.statuses = [decisionStatus({ status: 'in-force' })]
    await second.dispatcher.accept(of(1))
    await second.dispatcher.accept(of(2))
    void second.dispatcher.start(second.stop.signal)
    await second.clock.advance(10_000)
    expect(after.get().sent.map(({ id, handle }) => [id, handle])).toEqual([
      ['al_2_opened', null],
      ['al_1_opened', 'at-al_1_opened'],
    ])
  })

  it('repeats a digest with the same id and content after a crash in the middle of sending it', async () => {
    const ledger = new MemoryLedger()
    const before = plain()
    const first = await rig(before.make, ledger)
    void first.dispatcher.start(first.stop.signal)
    for (let i = 0; i < 50; i++) await first.dispatcher.accept(of(i))
    before.get().before = (id) => (id.startsWith('digest') ? new Promise(() => undefined) : undefined)
    let attempted = ''
    const hold = before.get().before
    before.get().before = (id) => {
      attempted = id
      return hold(id)
    }
    await first.clock.advance(3 * MINUTE_MS)
    expect(attempted).toMatch(/^digest/)

    const after = plain()
    const second = await rig(after.make, ledger)
    void second.dispatcher.start(second.stop.signal)
    await second.dispatcher.accept(of(99))
    await second.clock.advance(3 * MINUTE_MS)
    expect(after.get().sent.map(({ id, ids }) => [id, ids.length])).toEqual([
      [attempted, 46],
      ['al_99_opened', 1],
    ])
  })

  it('rejects what cannot be made durable, and takes it when offered again', async () => {
    const sink = plain()
    const { dispatcher, clock, stop, ledger } = await rig(sink.make)
    void dispatcher.start(stop.signal)
    ledger.failures.push(new CurfewError('STORE_UNREACHABLE', 'no store', { retriable: true }))
    await expect(dispatcher.accept(of(1))).rejects.toThrow('no store')
    await dispatcher.accept(of(1))
    await clock.advance(5000)
    expect(sink.get().sent).toHaveLength(1)
  })

  it('does not send a message again because its delivery could not be written down', async () => {
    const sink = plain()
    const { dispatcher, clock, stop, ledger } = await rig(sink.make)
    void dispatcher.start(stop.signal)
    sink.get().before = () => void ledger.failures.push(new Error('disk full'), new Error('disk full'))
    await dispatcher.accept(of(1))
    await clock.advance(MINUTE_MS)
    expect(sink.get().sent).toHaveLength(1)
    expect((await ledger.load()).pending).toEqual([])
  })
})

describe('drain', () => {
  it('resolves when everything is out, a storm without collecting it further', async () => {
    const sink = plain()
    const { dispatcher, clock, stop } = await rig(sink.make)
    void dispatcher.start(stop.signal)
    for (let i = 0; i < 20; i++) await dispatcher.accept(of(i))
    let drained = false
    const done = dispatcher.drain().then(() => {
      drained = true
    })
    await clock.advance(10_000)
    expect(drained).toBe(true)
    await done
    expect(sink.get().sent.map(({ kind }) => kind)).toEqual([...Array(4).fill('message'), 'digest'])
  })

  it('resolves when delivery stops although something is left', async () => {
    const sink = plain()
    const { dispatcher, clock, stop } = await rig(sink.make)
    sink.get().before = () => {
      throw unreachable()
    }
    const running = dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await clock.advance(5000)
    const drained = dispatcher.drain()
    stop.abort()
    await running
    await drained
    expect(dispatcher.status()[0]?.queued).toBe(1)
  })
})
