import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import {
  call,
  consumer,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MONDAY,
  partition,
  play,
} from '../../scenarios/engine/traffic.ts'

const DAYS = 8
const LAST_DAY = MONDAY + DAYS * DAY_MS + 12 * HOUR_MS

/** Calls a second apart, of the ids that `id` gives. */
function reads(
  name: string,
  from: number,
  count: number,
  id: (i: number) => string,
  route = '/v1/orders/{id}',
): AccessEvent[] {
  return Array.from({ length: count }, (_, i) =>
    call(from + i * 1_000, consumer(name), { route, objectIds: [id(i)] }),
  )
}

/** Each of 40 callers reads twelve objects a day, here and there. */
const CALM = inOrder(
  ...Array.from({ length: 40 * DAYS }, (_, n) => {
    const day = MONDAY + Math.floor(n / 40) * DAY_MS + 9 * HOUR_MS
    return reads(`peer-${n % 40}`, day + (n % 40) * 60_000, 12, (i) => `${1_000 + n + 97 * i}`)
  }),
)

function opinion(known: readonly AccessEvent[], calls: readonly AccessEvent[]): number | null {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  play(engine, known)
  play(engine, calls)
  return engine.judge.parts.find((p) => p.detector === 'enumeration')?.surprise ?? null
}

describe('ids counted through', () => {
  it('surprise after a few steps, upwards, downwards and with gaps', () => {
    const up = opinion(
      CALM,
      reads('peer-0', LAST_DAY, 30, (i) => `${50_000 + i}`),
    )!
    expect(up).toBeGreaterThan(1)
    expect(
      opinion(
        CALM,
        reads('peer-0', LAST_DAY, 30, (i) => `${50_000 - i}`),
      ),
    ).toBe(up)
    expect(
      opinion(
        CALM,
        reads('peer-0', LAST_DAY, 30, (i) => `${50_000 + 3 * i}`),
      ),
    ).toBe(up)
    expect(
      opinion(
        CALM,
        reads('peer-0', LAST_DAY, 300, (i) => `INV-${50_000 + i}`),
      ),
    ).toBeGreaterThan(up)
  })

  it('are seen among other calls of the caller', () => {
    const mixed = (i: number) => (i % 2 === 0 ? `${50_000 + i / 2}` : `${9_000 + 211 * i}`)
    expect(opinion(CALM, reads('peer-0', LAST_DAY, 61, mixed))).toBeGreaterThan(1)
  })

  it('are neither leaps, nor the same id again, nor ids drawn by lot, nor other routes', () => {
    const ids = [
      (i: number) => `${50_000 + 90 * i}`,
      () => '50000',
      (i: number) => `9f3ac2d1e4b5a6c${i % 9}`,
      (i: number) => `018f3a7e-0000-7000-8000-00000000000${i % 9}`,
    ]
    for (const id of ids) expect(opinion(CALM, reads('peer-0', LAST_DAY, 30, id))).toBeNull()
    const spread = Array.from({ length: 30 }, (_, i) =>
      reads('peer-0', LAST_DAY + i * 1_000, 1, () => `${50_000 + i}`, `/v1/kind-${i}/{id}`),
    ).flat()
    expect(opinion(CALM, spread)).toBeNull()
  })

  it('are normal for a job that does it daily', () => {
    const job = Array.from({ length: DAYS }, (_, day) =>
      reads('job', MONDAY + day * DAY_MS + 2 * HOUR_MS, 80, (i) => `${day * 1_000 + i}`),
    )
    expect(
      opinion(
        inOrder(CALM, ...job),
        reads('job', LAST_DAY, 80, (i) => `${70_000 + i}`),
      ),
    ).toBeNull()
  })
})
