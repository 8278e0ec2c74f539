import { spawn } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { median, quantileSorted } from 'simple-statistics'
import { CurfewError } from '../core/errors.ts'
import { MEASURED_CORE } from './cores.ts'
import { type Calls, callsOf, type Kind, mixedCalls } from './decide-calls.ts'
import { type Server, startService } from './decide-service.ts'
import { numberOption } from './options.ts'

const CALLERS = 2_000
const FIRST_SEEN = 200_000
const CONNECTIONS = 32
/** Of a mixed pass: more than are answered in its time. */
const MIXED_PER_SECOND = 100_000
const KINDS: readonly Kind[] = ['known', 'mixed', 'first-seen', 'garbage']

interface Pass {
  readonly perSecond: number
  /** CPU time of the server. */
  readonly microsecondsPerCall: number
  readonly p99Ms: number
}

/** The endpoint alone, over a deny list with rules, and in `curfew run`, where nobody is held. */
const SUBJECTS = ['endpoint', 'curfew run'] as const
type Subject = (typeof SUBJECTS)[number]

/**
 * The decision endpoint, alone and in `curfew run`, against a Fastify server that answers an empty 200, each pinned to the
 * same core, asked by the same client over keep-alive connections, one after the other in each run. Each answer's
 * status is checked: a fast wrong answer counts for nothing.
 */
export async function run(args: readonly string[]): Promise<void> {
  const runs = numberOption(args, 'runs', 7)
  const seconds = numberOption(args, 'seconds', 3)
  const rules = numberOption(args, 'rules', 1_000)
  const bare = await start(['bare'])
  try {
    const results = []
    for (const subject of SUBJECTS) {
      const isAlone = subject === 'endpoint'
      const ours = await (isAlone ? start(['ours', String(rules)]) : startService(MEASURED_CORE))
      try {
        results.push(...(await compare(subject, { bare, ours, runs, seconds, rules: isAlone ? rules : 0 })))
      } finally {
        await ours.stop()
      }
    }
    process.stdout.write(`${JSON.stringify({ benchmark: 'decide', rules, runs, seconds, results })}\n`)
  } finally {
    await bare.stop()
  }
}

interface Comparison {
  readonly bare: Server
  readonly ours: Server
  readonly runs: number
  readonly seconds: number
  readonly rules: number
}

async function compare(subject: Subject, { bare, ours, runs, seconds, rules }: Comparison) {
  const known = callsOf('known', 0, CALLERS, rules)
  await pass(bare, known, 1, false)
  await pass(ours, known, 1, true)
  const results = []
  let fresh = CALLERS
  for (const kind of KINDS) {
    const pairs: { bare: Pass; ours: Pass }[] = []
    for (let i = 0; i < runs; i++) {
      const once = kind === 'first-seen' || kind === 'mixed'
      const count = countOf(kind, runs, seconds)
      const calls = callsFor(kind, known, fresh, count, rules)
      fresh += count
      pairs.push({
        bare: await pass(bare, calls, seconds, false),
        ours: await pass(ours, calls, seconds, true, once),
      })
    }
    results.push(summary(subject, kind, pairs))
  }
  return results
}

function callsFor(kind: Kind, known: Calls, from: number, count: number, rules: number): Calls {
  if (kind === 'known') return known
  return kind === 'mixed' ? mixedCalls(known, from, count, rules) : callsOf(kind, from, count, rules)
}

function countOf(kind: Kind, runs: number, seconds: number): number {
  if (kind === 'first-seen') return Math.floor(FIRST_SEEN / runs)
  return kind === 'mixed' ? MIXED_PER_SECOND * seconds : CALLERS
}

function summary(
  subject: Subject,
  kind: Kind,
  pairs: readonly { readonly bare: Pass; readonly ours: Pass }[],
) {
  const ratios = pairs.map(({ bare, ours }) => ours.perSecond / bare.perSecond)
  const of = (pick: (pair: { bare: Pass; ours: Pass }) => number) =>
    Number(median(pairs.map(pick)).toFixed(2))
  const result = {
    subject,
    kind,
    ratio: Number(median(ratios).toFixed(3)),
    ratioMin: Number(Math.min(...ratios).toFixed(3)),
    ratioMax: Number(Math.max(...ratios).toFixed(3)),
    cpuRatio: of(({ bare, ours }) => bare.microsecondsPerCall / ours.microsecondsPerCall),
    perSecond: Math.round(of(({ ours }) => ours.perSecond)),
    barePerSecond: Math.round(of(({ bare }) => bare.perSecond)),
    p99Ms: of(({ ours }) => ours.p99Ms),
    bareP99Ms: of(({ bare }) => bare.p99Ms),
  }
  process.stderr.write(
    `${subject.padEnd(10)} ${kind.padEnd(10)} ${result.perSecond}/s p99 ${result.p99Ms} ms; bare ${result.barePerSecond}/s p99 ${result.bareP99Ms} ms; ratio ${result.ratio} (${result.ratioMin} to ${result.ratioMax}), by CPU time ${result.cpuRatio}\n`,
  )
  return result
}

function start(args: readonly string[]): Promise<Server> {
  const script = fileURLToPath(new URL('./decide-server.js', import.meta.url))
  const child = spawn('taskset', ['-c', String(MEASURED_CORE), process.execPath, script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const cpu = (): Promise<number> => {
    const answer = new Promise<number>((resolve) => child.once('message', (used) => resolve(Number(used))))
    child.send('cpu')
    return answer
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new CurfewError('USAGE', `the server ended with ${code}`)))
    child.stdout?.on('data', (chunk: Buffer) => {
      const port = /port (\d+)/.exec(chunk.toString())?.[1]
      if (port !== undefined) resolve({ port: Number(port), cpu, stop: async () => child.disconnect() })
    })
  })
}

/** Asks for so many seconds, or until every call was made once. */
async function pass(
  server: Server,
  calls: Calls,
  seconds: number,
  checked: boolean,
  once = false,
): Promise<Pass> {
  const times: number[] = []
  const before = await server.cpu()
  const started = performance.now()
  const end = started + seconds * 1_000
  let next = 0
  const take = (): number => {
    if (performance.now() >= end || (once && next >= calls.requests.length)) return -1
    return next++ % calls.requests.length
  }
  const lanes = Array.from({ length: CONNECTIONS }, () => lane(server.port, calls, take, times, checked))
  await Promise.all(lanes)
  const elapsed = performance.now() - started
  const microsecondsPerCall = ((await server.cpu()) - before) / times.length
  times.sort((a, b) => a - b)
  const perSecond = (times.length * 1_000) / elapsed
  return { perSecond, microsecondsPerCall, p99Ms: quantileSorted(times, 0.99) }
}

/** One connection: a call, its answer, the next call. */
function lane(
  port: number,
  { requests, statuses }: Calls,
  take: () => number,
  times: number[],
  checked: boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, '127.0.0.1').setNoDelay(true)
    let sentAt = 0
    let current = 0
    let answer = ''
    const send = (): void => {
      current = take()
      if (current < 0) {
        socket.end()
        resolve()
        return
      }
      sentAt = performance.now()
      socket.write(requests[current]!)
    }
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
      if (!isWhole(answer)) return
      times.push(performance.now() - sentAt)
      const status = Number(answer.slice(9, 12))
      answer = ''
      if (checked && status !== statuses[current]) {
        socket.destroy()
        reject(new Error(`answered ${status} where ${statuses[current]} is right`))
        return
      }
      send()
    })
  })
}

function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  if (head < 0) return false
  const length = /content-length: (\d+)/i.exec(answer.slice(0, head))?.[1]
  return answer.length >= head + 4 + Number(length ?? 0)
}
