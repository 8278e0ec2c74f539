import { appendFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadOrder } from './latency-children.ts'
import { type Caller, HISTORY_CALLS, history } from './latency-records.ts'
import { type PhaseResult, phaseResult, phaseText } from './latency-report.ts'
import { type Setting, withSetting } from './latency-setting.ts'
import { message, type Pair, RoundTrips } from './latency-trips.ts'
import { numberOption } from './options.ts'
import { seededRandom } from './seeded-random.ts'

const CHUNK = 1_000
const WATCH_MS = 50
/** Records of the measurement of how fast a backlog is worked off: the first part warms up. */
const WARM_UP_RECORDS = 20_000
const BACKLOG_RECORDS = 60_000
/** How long a rate must be kept up; what then waits may be no more than after a third of it, or than this. */
const KEEP_UP_MS = 9_000
const BACKLOG_MS = 100
/** Rates that are tried, each so much of the one before: the lowest is 7 % of the rate of a backlog. */
const NEXT_RATE = 0.8
const RATES = 13
/** Round trips before those that count. */
const WARM_UP_TRIPS = 50
const SETTLE_MS = 3_000

/**
 * The time from producing a log record to Kafka until HAProxy refuses its caller, through the whole engine,
 * against the bare chain of a consumer and the same call to HAProxy: real Kafka, Redis and HAProxy, trips of
 * both in turn, first idle, then at a share (`--load`) of what the pipeline sustains. Every trip has a caller
 * of its own with learnt history. `--samples FILE` appends every trip as a JSON line.
 */
export async function run(args: readonly string[]): Promise<void> {
  const trips = numberOption(args, 'trips', 2_000)
  const load = numberOption(args, 'load', 0.5)
  const at = args.indexOf('--samples')
  const samples = at < 0 ? null : (args[at + 1] ?? null)
  const stop = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`stopped by ${signal}`)))
  })
  const work = withSetting((setting) =>
    Promise.race([measure(setting, { trips, load, samples }), setting.failed, stop]),
  )
  const result = await work
  process.stdout.write(`${JSON.stringify({ benchmark: 'latency', ...result })}\n`)
}

interface Options {
  readonly trips: number
  readonly load: number
  readonly samples: string | null
}

async function measure(setting: Setting, options: Options) {
  const { trips, load } = options
  const total = 2 * trips + WARM_UP_TRIPS
  const callers = callersOf('ours', total, setting.ours.haproxy.issuer)
  const bare = callersOf('bare', total, setting.bare.haproxy.issuer)
  const learntPerSecond = await teach(setting, callers)
  say(`learnt ${total * HISTORY_CALLS} events of ${total} callers at ${learntPerSecond}/s`)
  const roundTrips = new RoundTrips(setting, seededRandom(1))
  try {
    const phase = async (name: string, from: number, count: number): Promise<PhaseResult> => {
      const pairs: Pair[] = []
      for (let i = from; i < from + count; i++) pairs.push(await roundTrips.pair(i, callers[i]!, bare[i]!))
      keep(options.samples, name, pairs)
      const result = phaseResult(name, pairs)
      return result
    }
    await phase('warm-up', 2 * trips, WARM_UP_TRIPS)
    await sleep(SETTLE_MS)
    const idle = await phase('idle', 0, trips)
    say(`${phaseText(idle)}\n  load average ${loads()}`)
    const backlog = await backlogRate(setting)
    const sustained = await sustainedRate(setting, backlog)
    const perSecond = Math.round(sustained * load)
    say(`sustained: ${sustained} records/s (a backlog: ${backlog}/s); loaded phase at ${perSecond}/s`)
    order(setting, { kind: 'steady', perSecond })
    await sleep(SETTLE_MS)
    const before = await setting.judged()
    const started = performance.now()
    const loaded = await phase(`load ${load}`, trips, trips)
    const judgedPerSecond = Math.round(
      (((await setting.judged()) - before) * 1_000) / (performance.now() - started),
    )
    await ordered(setting, { kind: 'stop' })
    say(`${phaseText(loaded)}\n  judged ${judgedPerSecond}/s meanwhile, load average ${loads()}`)
    return {
      trips,
      backlogPerSecond: backlog,
      sustainedPerSecond: sustained,
      loadPerSecond: perSecond,
      judgedPerSecond,
      idle,
      loaded,
    }
  } finally {
    roundTrips.close()
  }
}

function callersOf(chain: string, count: number, iss: string): readonly Caller[] {
  return Array.from({ length: count }, (_, i) => ({ iss, sub: `${chain}-${i}`, jti: `${chain}-token-${i}` }))
}

/** Produces the history and waits until all of it is judged. Records per second from first to last. */
async function teach(setting: Setting, callers: readonly Caller[]): Promise<number> {
  const before = await setting.judged()
  const started = performance.now()
  let chunk: ReturnType<typeof message>[] = []
  for (const record of history(callers, Date.now())) {
    chunk.push(message(record))
    if (chunk.length < CHUNK) continue
    await setting.producer.send(setting.ours.topic, chunk)
    chunk = []
  }
  if (chunk.length > 0) await setting.producer.send(setting.ours.topic, chunk)
  return await rateUntil(setting, before, callers.length * HISTORY_CALLS, started)
}

/** Records/s at which a backlog is worked off: nothing waits for anything, so batches are large. */
async function backlogRate(setting: Setting): Promise<number> {
  let rate = 0
  for (const count of [WARM_UP_RECORDS, BACKLOG_RECORDS]) {
    const before = await setting.judged()
    const started = performance.now()
    const produced = setting.load.message()
    order(setting, { kind: 'burst', count })
    await produced
    rate = await rateUntil(setting, before, count, started)
  }
  return rate
}

/**
 * The highest steady rate without a backlog that grows, all processes of the setting at work (sustainable
 * throughput as in Karimov et al., "Benchmarking Distributed Stream Data Processing Systems", ICDE 2018):
 * from the rate of a backlog downwards.
 */
async function sustainedRate(setting: Setting, backlog: number): Promise<number> {
  for (let i = 0, rate = backlog; i < RATES; i++, rate = Math.round(rate * NEXT_RATE)) {
    const before = { produced: await ordered(setting, { kind: 'stop' }), judged: await setting.judged() }
    order(setting, { kind: 'steady', perSecond: rate })
    await sleep(KEEP_UP_MS / 3)
    const early = await waiting(setting, before)
    await sleep((KEEP_UP_MS * 2) / 3)
    const late = await waiting(setting, before)
    const produced = (await ordered(setting, { kind: 'stop' })) - before.produced
    await rateUntil(setting, before.judged, produced, performance.now())
    // The producer shares the machine: a rate that it cannot make is not one that was kept up.
    const made = produced >= (rate * KEEP_UP_MS * 0.97) / 1_000
    say(`  ${rate}/s: ${produced} records in ${KEEP_UP_MS / 1_000} s; waiting ${early}, then ${late}`)
    if (made && late <= Math.max(early, (rate * BACKLOG_MS) / 1_000)) return rate
  }
  throw new Error('no rate was kept up')
}

/** Records produced since `before` and not judged yet. */
async function waiting(
  setting: Setting,
  before: { readonly produced: number; readonly judged: number },
): Promise<number> {
  const judged = (await setting.judged()) - before.judged
  return (await ordered(setting, { kind: 'count' })) - before.produced - judged
}

/** Gives an order and waits for the answer: the number of records produced so far. */
async function ordered(setting: Setting, next: LoadOrder): Promise<number> {
  const answer = setting.load.message()
  order(setting, next)
  return ((await answer) as { readonly produced: number }).produced
}

async function rateUntil(setting: Setting, before: number, count: number, started: number): Promise<number> {
  while ((await setting.judged()) < before + count) await sleep(WATCH_MS)
  return Math.round((count * 1_000) / (performance.now() - started))
}

function order(setting: Setting, next: LoadOrder): void {
  setting.load.process.send(next)
}

function keep(path: string | null, phase: string, pairs: readonly Pair[]): void {
  if (path === null) return
  for (const pair of pairs) {
    for (const chain of ['ours', 'bare'] as const)
      appendFileSync(path, `${JSON.stringify({ phase, chain, ...pair[chain] })}\n`)
  }
}

function loads(): string {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(' ')
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
