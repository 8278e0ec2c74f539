import { describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../core/time.ts'
import { editing, of, plain, rig } from './dispatcher-rig.ts'
import type { ManualClock } from './manual-clock.ts'
import { RecordingSink, unreachable } from './recording-sink.ts'
import { decisionStatus } from './samples.ts'

describe('dispatcher', () => {
  it('delivers each transition once, in order, however often it is accepted', async () => {
    const sink = editing()
    const { dispatcher, clock, stop } = await rig(sink.make)
    void dispatcher.start(stop.signal)
    for (const transition of ['opened', 'escalated', 'resolved'] as const) {
      await dispatcher.accept(of(1, transition))
      await dispatcher.accept(of(1, transition))
      await clock.advance(5000)
    }
    expect(sink.get().sent.map(({ transition, handle }) => [transition, handle])).toEqual([
      ['opened', null],
      ['escalated', 'at-al_1_opened'],
      ['resolved', 'at-al_1_opened'],
    ])
  })

  it('sends one message for transitions that wait together', async () => {
    const sink = plain()
    const { dispatcher, clock, stop, ledger } = await rig(sink.make)
    await dispatcher.accept(of(1, 'opened'))
    await dispatcher.accept(of(1, 'escalated'))
    void dispatcher.start(stop.signal)
    await clock.advance(5000)
    expect(sink.get().sent.map(({ id }) => id)).toEqual(['al_1_escalated'])
    expect((await ledger.load()).pending).toEqual([])
  })

  it('is silent below the least severity until the incident escalates, and then tells its end', async () => {
    const sink = plain()
    const make = (clock: ManualClock) =>
      sink.make(clock).map((entry) => ({ ...entry, minSeverity: 'high' as const }))
    const { dispatcher, clock, stop } = await rig(make)
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1, 'opened', { severity: 'low' }))
    await dispatcher.accept(of(2, 'opened', { severity: 'low' }))
    await clock.advance(5000)
    await dispatcher.accept(of(1, 'escalated', { severity: 'critical' }))
    await clock.advance(5000)
    await dispatcher.accept(of(1, 'resolved', { severity: 'low' }))
    await dispatcher.accept(of(2, 'resolved', { severity: 'low' }))
    await clock.advance(5000)
    expect(sink.get().sent.map(({ id }) => id)).toEqual(['al_1_escalated', 'al_1_resolved'])
  })

  it('tells 500 incidents of one minute in at most 5 messages and loses none', async () => {
    const sink = plain()
    const { dispatcher, clock, stop, ledger } = await rig(sink.make)
    void dispatcher.start(stop.signal)
    for (let i = 0; i < 500; i++) {
      await dispatcher.accept(of(i))
      await clock.advance(118)
    }
    await clock.advance(5 * MINUTE_MS)
    const { sent } = sink.get()
    expect(sent.length).toBeLessThanOrEqual(5)
    expect(new Set(sent.flatMap(({ ids }) => ids)).size).toBe(500)
    expect((await ledger.load()).pending).toEqual([])
    expect(dispatcher.status()[0]).toMatchObject({ queued: 0, sent: 5, folded: 496 })
  })

  it('tells the fifth incident of a minute by itself when no other follows', async () => {
    const sink = plain()
    const { dispatcher, clock, stop } = await rig(sink.make)
    void dispatcher.start(stop.signal)
    for (let i = 0; i < 5; i++) await dispatcher.accept(of(i))
    await clock.advance(2 * MINUTE_MS)
    expect(sink.get().sent.map(({ kind }) => kind)).toEqual(Array(5).fill('message'))
  })

  it('keeps to the budget of an hour and puts the rest into digests', async () => {
    const sink = plain()
    const make = (clock: ManualClock) => sink.make(clock).map((entry) => ({ ...entry, budgetPerHour: 10 }))
    const { dispatcher, clock, stop } = await rig(make)
    void dispatcher.start(stop.signal)
    for (let i = 0; i < 60; i++) {
      await dispatcher.accept(of(i))
      await clock.advance(MINUTE_MS - 1)
    }
    const { sent } = sink.get()
    expect(sent.filter(({ kind }) => kind === 'message')).toHaveLength(10)
    expect(sent.filter(({ kind }) => kind === 'digest').length).toBeLessThanOrEqual(6)
    await clock.advance(HOUR_MS)
    expect(new Set(sink.get().sent.flatMap(({ ids }) => ids)).size).toBe(60)
  })

  it('tries again with growing pauses and gives up after a day', async () => {
    const sink = plain()
    const { dispatcher, clock, stop, ledger, log } = await rig(sink.make)
    const tries: number[] = []
    sink.get().before = () => {
      tries.push(clock.now())
      throw unreachable()
    }
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await clock.advance(DAY_MS + HOUR_MS)
    const pauses = tries.slice(1).map((at, index) => at - (tries[index] ?? 0))
    expect(pauses.slice(0, 4)).toEqual([750, 1500, 3000, 6000])
    expect(Math.max(...pauses)).toBeLessThanOrEqual(10 * MINUTE_MS)
    expect(dispatcher.status()[0]).toMatchObject({ abandoned: 1, queued: 0, lastError: 'cannot be reached' })
    expect((await ledger.load()).pending).toEqual([])
    expect(log.at(-1)).toContain('alert given up')
  })

  it('waits as long as the other side asks', async () => {
    const sink = plain()
    const { dispatcher, clock, stop } = await rig(sink.make)
    const start = clock.now()
    let first = true
    sink.get().before = () => {
      if (!first) return
      first = false
      throw unreachable(42_000)
    }
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await clock.advance(MINUTE_MS)
    expect(sink.get().sent.map(({ at }) => at - start)).toEqual([42_000])
  })

  it('does not let a failing message or a hanging sink delay others', async () => {
    let good: RecordingSink | undefined
    const { dispatcher, clock, stop } = await rig((time) => {
      const hanging = new RecordingSink('hanging', () => time.now())
      hanging.before = () => new Promise(() => undefined)
      good = new RecordingSink('good', () => time.now())
      good.before = (id) => {
        if (id.startsWith('al_1_')) throw unreachable()
      }
      return [hanging, good].map((sink) => ({ sink, minSeverity: 'low' as const }))
    })
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await dispatcher.accept(of(2))
    await dispatcher.accept(of(3))
    await clock.advance(20_000)
    expect(good?.sent.map(({ id }) => id)).toEqual(['al_2_opened', 'al_3_opened'])
    expect(dispatcher.status()[0]).toMatchObject({ sink: 'hanging', queued: 3 })
  })

  it('does not repeat what a sink refuses', async () => {
    const sink = plain()
    const { dispatcher, clock, stop, ledger, log } = await rig(sink.make)
    let tries = 0
    sink.get().before = () => {
      tries++
      throw new CurfewError('SINK_REFUSED', 'no such channel')
    }
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await clock.advance(HOUR_MS)
    expect(tries).toBe(1)
    expect(ledger.outcomes).toEqual([{ sink: 'hook', id: 'al_1_opened', outcome: 'refused' }])
    expect(log[0]).toContain('alert refused by its sink')
  })
})

describe('edits', () => {
  it('edits the message when a decision changed and only then', async () => {
    const sink = editing()
    const made = await rig(sink.make)
    const { dispatcher, clock, stop } = made
    made.statuses = [decisionStatus({ status: 'pending' })]
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await clock.advance(5000)
    dispatcher.refresh('inc_1')
    await clock.advance(5000)
    made.statuses = [decisionStatus({ status: 'in-force' })]
    dispatcher.refresh('inc_1')
    dispatcher.refresh('inc_1')
    dispatcher.refresh('inc_unknown')
    await clock.advance(5000)
    const aliases = [{ gateway: 'edge', principal: 'sub:orders-svc', state: 'held' }] as const
    made.statuses = [decisionStatus({ status: 'in-force', aliases })]
    dispatcher.refresh('inc_1')
    await clock.advance(5000)
    expect(sink.get().sent.map(({ statuses, handle }) => [statuses[0], handle])).toEqual([
      ['pending', null],
      ['in-force', 'at-al_1_opened'],
      ['in-force', 'at-al_1_opened'],
    ])
  })

  it('edits again when a decision changed while the message was under way', async () => {
    const sink = editing()
    const made = await rig(sink.make)
    const { dispatcher, clock, stop } = made
    made.statuses = [decisionStatus({ status: 'pending' })]
    let release = (): void => undefined
    sink.get().before = () =>
      new Promise((resolve) => {
        release = resolve
      })
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await clock.advance(1)
    made.statuses = [decisionStatus({ status: 'in-force' })]
    dispatcher.refresh('inc_1')
    sink.get().before = () => undefined
    release()
    await clock.advance(5000)
    expect(sink.get().sent.map(({ statuses }) => statuses[0])).toEqual(['pending', 'in-force'])
  })

  it('leaves sinks that cannot edit alone', async () => {
    const sink = plain()
    const made = await rig(sink.make)
    const { dispatcher, clock, stop } = made
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await clock.advance(5000)
    made.statuses = [decisionStatus({ status: 'released' })]
    dispatcher.refresh('inc_1')
    await clock.advance(HOUR_MS)
    expect(sink.get().sent).toHaveLength(1)
  })

  it('gives up an edit that keeps failing', async () => {
    const sink = editing()
    const made = await rig(sink.make)
    const { dispatcher, clock, stop } = made
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1))
    await clock.advance(5000)
    made.statuses = [decisionStatus()]
    let tries = 0
    sink.get().before = () => {
      tries++
      throw unreachable()
    }
    dispatcher.refresh('inc_1')
    await clock.advance(2 * HOUR_MS)
    expect(tries).toBe(8)
  })
})

it('refuses two sinks of one name', async () => {
  const twice = (clock: ManualClock) =>
    [1, 2].map(() => ({ sink: new RecordingSink('hook', () => clock.now()), minSeverity: 'low' as const }))
  await expect(rig(twice)).rejects.toThrow('two alert sinks are named hook')
})
