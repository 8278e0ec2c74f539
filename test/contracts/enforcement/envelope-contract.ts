import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { EnvelopeLimits } from '../../../core/envelope.ts'
import type { Principal } from '../../../core/event.ts'
import { type WallTimeMs, wallTime } from '../../../core/time.ts'
import { type Envelope, type EnvelopeHolder, envelopeId } from '../../../enforcement/envelope.ts'

/** A fresh holder and calls through what it holds. */
export interface EnvelopeBench {
  readonly holder: EnvelopeHolder
  readonly now: () => WallTimeMs
  /** One call of a caller, begun and ended at once; the id of the envelope that refused it, or null. */
  call(principal: Principal): Promise<string | null>
  close(): Promise<void>
}

export interface EnvelopeCase {
  readonly name: string
  make(): Promise<EnvelopeBench>
  /** A caller of this name that the holder knows. */
  caller(name: string): Principal
}

const STOP = new AbortController().signal

export type EnvelopeCheckName = keyof typeof CHECKS

type Check = (bench: EnvelopeBench, of: EnvelopeCase) => Promise<void>

function envelope(principal: Principal, requestsPer10s: number, until: number): Envelope {
  const limits: EnvelopeLimits = {
    inFlight: 100,
    requestsPer10s,
    recordsPer10min: null,
    bytesPer10min: 1_000_000,
  }
  return { id: envelopeId('default', principal), principal, limits, until: wallTime(until) }
}

async function refusals(bench: EnvelopeBench, principal: Principal, calls: number) {
  const seen: (string | null)[] = []
  for (let i = 0; i < calls; i++) seen.push(await bench.call(principal))
  return seen
}

const CHECKS = {
  'lists what was put': async (bench, of) => {
    const [a, b] = [of.caller('a'), of.caller('b')]
    const until = bench.now() + 60_000
    const both = [envelope(a, 3, until), envelope(b, 5, until)]
    for (const one of both) await bench.holder.put(one, STOP)
    await bench.holder.settle(STOP)
    const found = [...(await bench.holder.list(STOP))].sort((x, y) => (x.id < y.id ? -1 : 1))
    assert.deepEqual(
      found,
      [...both].sort((x, y) => (x.id < y.id ? -1 : 1)),
    )
  },
  'refuses beyond the limit, in the name of the envelope, and nobody else': async (bench, of) => {
    const mine = envelope(of.caller('a'), 3, bench.now() + 60_000)
    await bench.holder.put(mine, STOP)
    assert.deepEqual(await refusals(bench, of.caller('a'), 5), [null, null, null, mine.id, mine.id])
    assert.deepEqual(await refusals(bench, of.caller('b'), 5), [null, null, null, null, null])
  },
  'is the same when put twice, and keeps its counts when renewed': async (bench, of) => {
    const mine = envelope(of.caller('a'), 3, bench.now() + 60_000)
    await bench.holder.put(mine, STOP)
    await refusals(bench, of.caller('a'), 3)
    await bench.holder.put(mine, STOP)
    await bench.holder.put({ ...mine, until: wallTime(bench.now() + 90_000) }, STOP)
    assert.equal((await bench.holder.list(STOP)).length, 1)
    assert.deepEqual(await refusals(bench, of.caller('a'), 1), [mine.id])
  },
  'is replaced by one with other limits': async (bench, of) => {
    const mine = envelope(of.caller('a'), 1, bench.now() + 60_000)
    await bench.holder.put(mine, STOP)
    await bench.holder.put(envelope(of.caller('a'), 4, bench.now() + 60_000), STOP)
    assert.deepEqual(await refusals(bench, of.caller('a'), 5), [null, null, null, null, mine.id])
  },
  'frees the caller when removed, and removes only that': async (bench, of) => {
    const until = bench.now() + 60_000
    const [mine, other] = [envelope(of.caller('a'), 0, until), envelope(of.caller('b'), 0, until)]
    await bench.holder.put(mine, STOP)
    await bench.holder.put(other, STOP)
    await bench.holder.remove(new Set([mine.id, 'env_00']), STOP)
    await bench.holder.settle(STOP)
    assert.deepEqual(await refusals(bench, of.caller('a'), 2), [null, null])
    assert.deepEqual(await refusals(bench, of.caller('b'), 1), [other.id])
    await bench.holder.remove(new Set([mine.id]), STOP)
    assert.deepEqual(await bench.holder.list(STOP), [other])
  },
  'holds nobody after its end': async (bench, of) => {
    await bench.holder.put(envelope(of.caller('a'), 0, bench.now() - 1_000), STOP)
    assert.deepEqual(await refusals(bench, of.caller('a'), 2), [null, null])
  },
} satisfies Readonly<Record<string, Check>>

/** Runs one check against a fresh bench; throws where it fails. */
export async function runEnvelopeCheck(name: EnvelopeCheckName, of: EnvelopeCase): Promise<void> {
  const bench = await of.make()
  try {
    await CHECKS[name](bench, of)
  } finally {
    await bench.close()
  }
}

/** What every place that holds envelopes must do. */
export function envelopeContract(of: EnvelopeCase): void {
  describe(`envelope contract: ${of.name}`, () => {
    it.each(Object.keys(CHECKS) as EnvelopeCheckName[])('%s', (name) => runEnvelopeCheck(name, of))
  })
}
