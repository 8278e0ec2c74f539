import { describe, expect, it } from 'vitest'
import type { AlertRecord } from '../../../core/incident.ts'
import { MINUTE_MS } from '../../../core/time.ts'
import { editing, of, plain, rig } from './dispatcher-rig.ts'
import { MemoryLedger } from './memory-ledger.ts'
import { decisionStatus } from './samples.ts'

const isFirst = (alert: AlertRecord) => alert.incident === 'inc_1'
const named = { entity: { type: 'principal', id: 'consumer:cnry' }, summary: 'cnry downloads' } as const

describe('forgetting a caller', () => {
  it('drops what waits and leaves no name in the ledger', async () => {
    const ledger = new MemoryLedger()
    const { make, get } = plain()
    const { dispatcher, clock, stop } = await rig(make, ledger)
    await dispatcher.accept(of(1, 'opened', named))
    await dispatcher.accept(of(2))
    await dispatcher.forget(isFirst)
    expect(JSON.stringify(await ledger.load())).not.toContain('cnry')
    void dispatcher.start(stop.signal)
    await clock.advance(MINUTE_MS)
    expect(get().sent.map(({ id }) => id)).toEqual(['al_2_opened'])
    expect(dispatcher.status()[0]).toMatchObject({ queued: 0 })
  })

  it('edits what was told where that is possible, and still tells its end', async () => {
    const ledger = new MemoryLedger()
    const { make, get } = editing()
    const { dispatcher, clock, stop } = await rig(make, ledger)
    void dispatcher.start(stop.signal)
    await dispatcher.accept(of(1, 'opened', named))
    await clock.advance(5_000)
    await dispatcher.forget(isFirst)
    expect(JSON.stringify(await ledger.load())).not.toContain('cnry')
    await clock.advance(5_000)
    await dispatcher.accept(of(1, 'resolved', { entity: { type: 'principal', id: 'forgotten' } }))
    await clock.advance(5_000)
    expect(get().sent.map(({ handle }) => handle)).toEqual([null, 'at-al_1_opened', 'at-al_1_opened'])
  })

  it('holds for a message that is on its way meanwhile', async () => {
    const ledger = new MemoryLedger()
    const { make, get } = editing()
    const { dispatcher, clock, stop, ...rest } = await rig(make, ledger)
    rest.statuses = [decisionStatus({ status: 'pending' })]
    void dispatcher.start(stop.signal)
    let arrive = (): void => undefined
    get().before = () =>
      new Promise((resolve) => {
        arrive = () => resolve(undefined)
      })
    await dispatcher.accept(of(1, 'opened', named))
    await clock.advance(2_000)
    await dispatcher.forget(isFirst)
    get().before = () => undefined
    arrive()
    await clock.advance(5_000)
    expect(JSON.stringify(await ledger.load())).not.toContain('cnry')
  })

  it('takes a caller out of a storm that is told at once', async () => {
    const ledger = new MemoryLedger()
    const { make, get } = plain()
    const { dispatcher, clock, stop } = await rig(make, ledger)
    for (let i = 0; i < 30; i++) await dispatcher.accept(of(i, 'opened', i === 1 ? named : {}))
    await dispatcher.forget(isFirst)
    void dispatcher.start(stop.signal)
    await clock.advance(10 * MINUTE_MS)
    expect(get().sent.flatMap(({ ids }) => ids)).not.toContain('al_1_opened')
    expect(dispatcher.status()[0]).toMatchObject({ queued: 0 })
  })
})
