import { median, quantileSorted } from 'simple-statistics'
import { copyProfile, decodeProfile, encodeProfile } from '../baseline/codec.ts'
import { CORE } from '../baseline/layout.ts'
import { ProfileSlab } from '../baseline/slab.ts'
import { profileKey } from '../core/event.ts'
import type { Partition } from '../engine/partition.ts'
import { corpusFile, STANDARD } from './corpus.ts'
import { EngineRun, judgedConfig, readCalls } from './judging/engine-run.ts'
import { generatedWorld } from './judging/worlds.ts'
import { numberOption } from './options.ts'
import { PACKING_CODES } from './packing-codes.ts'

/** A caller is busy from so many calls and routes on. */
const BUSY_EVENTS = 1_000
const BUSY_ROUTES = 20
/** Profiles on which costs are measured. */
const SAMPLE = 20_000
const ROUNDS = 7
const BUDGET = 5

/** Partition with the profiles of a log, and the callers who called many routes. */
interface Population {
  readonly partition: Partition
  readonly manyRoutes: ReadonlySet<string>
}

/**
 * `profiles`: what a stored profile takes, and what packing it costs, on the callers of a generated world (28 days) and
 * on those of the corpus of speed figures (two days).
 */
export async function run(args: readonly string[]): Promise<void> {
  const seed = numberOption(args, 'seed', 1)
  const lines = numberOption(args, 'lines', 300_000)
  const principals = numberOption(args, 'principals', STANDARD.principals)
  const world = generatedWorld({ size: 'small', seed, faults: false })
  let ofWorld: object
  try {
    ofWorld = measured(await populate(world.log))
  } finally {
    world.remove()
  }
  const ofCorpus = measured(await populate(corpusFile({ ...STANDARD, lines, principals })))
  const settings = { benchmark: 'profiles', seed, lines, principals }
  process.stdout.write(`${JSON.stringify({ ...settings, world: ofWorld, corpus: ofCorpus })}\n`)
}

async function populate(log: string): Promise<Population> {
  const config = judgedConfig({ tenantField: 'workspace_name' }, [], BUDGET)
  const engine = new EngineRun(config, { alert: () => undefined, decision: () => undefined })
  const routes = new Map<string, Set<string>>()
  await readCalls(log, config, (event, line) => {
    const key = profileKey(event.tenant, event.principal)
    const own = routes.get(key)
    if (own === undefined) routes.set(key, new Set([event.route]))
    else if (own.size < BUSY_ROUTES) own.add(event.route)
    engine.step(event, line)
  })
  const many = [...routes].filter(([, own]) => own.size >= BUSY_ROUTES).map(([key]) => key)
  return { partition: engine.partition, manyRoutes: new Set(many) }
}

function measured({ partition, manyRoutes }: Population): object {
  const { slab } = partition.residents
  const sizes: number[] = []
  const busy: number[] = []
  for (const slot of partition.residents.slots()) {
    const { length } = stored(partition, slot)
    sizes.push(length)
    const view = slab.at(slot)
    const { tenant, principal } = partition.residents.ownerOf(slot)
    const isBusy = view.f64[(view.base + CORE.events) / 8]! >= BUSY_EVENTS
    if (isBusy && manyRoutes.has(profileKey(tenant, principal))) busy.push(length)
  }
  return {
    profiles: sizes.length,
    storedBytes: summary(sizes),
    busy: busy.length === 0 ? null : { profiles: busy.length, storedBytes: summary(busy) },
    liveBytes: slab.stride,
    microseconds: costs(partition),
    codes: codes(partition),
  }
}

function stored({ residents, judge }: Partition, slot: number): Uint8Array {
  const owner = residents.ownerOf(slot)
  return encodeProfile(residents.slab.at(slot), owner, judge.stored, residents.unknownOf(slot))
}

function summary(values: readonly number[]): object {
  const sorted = [...values].sort((a, b) => a - b)
  return {
    mean: Number(meanOf(sorted).toFixed(1)),
    median: quantileSorted(sorted, 0.5),
    p99: quantileSorted(sorted, 0.99),
    largest: sorted.at(-1)!,
  }
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function sampleOf({ residents }: Partition): readonly number[] {
  const slots = [...residents.slots()]
  const every = Math.max(1, Math.floor(slots.length / SAMPLE))
  return slots.filter((_, i) => i % every === 0)
}

/** Of whole profiles, header, owner and checksum included. */
function costs(partition: Partition): object {
  const slots = sampleOf(partition)
  const { judge } = partition
  const blobs = slots.map((slot) => stored(partition, slot))
  const slab = new ProfileSlab(judge.sectionBytes)
  const slot = slab.allocate()
  const read = (blob: Uint8Array) => {
    decodeProfile(blob, judge.stored)
    copyProfile(blob, slab.at(slot), judge.stored)
  }
  return timed({
    encode: overAll(slots, (s) => stored(partition, s)),
    decode: overAll(blobs, read),
  })
}

/** Of the bytes in memory alone: mean size, microseconds each way. */
function codes(partition: Partition): object {
  const { slab } = partition.residents
  const plain = sampleOf(partition).map((slot) => {
    const view = slab.at(slot)
    return view.bytes.slice(view.base, view.base + view.derived)
  })
  const packed = PACKING_CODES.map((code) =>
    plain.map((bytes) => {
      const small = code.encode(bytes).slice()
      if (Buffer.compare(code.decode(small, bytes.length), bytes) !== 0)
        throw new Error(`${code.name} gives other bytes back`)
      return small
    }),
  )
  const work: Record<string, Work> = {}
  for (const [i, code] of PACKING_CODES.entries()) {
    work[`${i} encode`] = overAll(plain, (bytes) => code.encode(bytes))
    work[`${i} decode`] = overAll(packed[i]!, (bytes) => code.decode(bytes, slab.storedBytes))
  }
  const times = timed(work)
  const results = PACKING_CODES.map(({ name }, i) => [
    name,
    {
      meanBytes: Number(meanOf(packed[i]!.map((bytes) => bytes.length)).toFixed(1)),
      encode: times[`${i} encode`],
      decode: times[`${i} decode`],
    },
  ])
  return { 'in memory': { meanBytes: slab.storedBytes }, ...Object.fromEntries(results) }
}

/** Something to do over and over, and to how many. */
interface Work {
  readonly profiles: number
  act(): void
}

function overAll<T>(items: readonly T[], act: (item: T) => unknown): Work {
  return {
    profiles: items.length,
    act: () => {
      for (const item of items) act(item)
    },
  }
}

/** Microseconds per profile of each piece of work, median of rounds in turn. */
function timed(work: Readonly<Record<string, Work>>): Readonly<Record<string, number>> {
  const times = new Map<string, number[]>(Object.keys(work).map((name) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { profiles, act }] of Object.entries(work)) {
      const from = performance.now()
      act()
      times.get(name)!.push((1_000 * (performance.now() - from)) / profiles)
    }
  }
  return Object.fromEntries([...times].map(([name, each]) => [name, Number(median(each).toFixed(2))]))
}
