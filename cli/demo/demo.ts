import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import pino from 'pino'
import type { Clock } from '../../core/time.ts'
import type { ControlPlane, PrincipalView } from '../../engine/control-plane.ts'
import { FORMATS } from '../../ingest/formats/catalog.ts'
import { Backfill, type BackfillCounts } from '../backfill.ts'
import type { Io } from '../command.ts'
import { engineSettings, sourceSettings } from '../config/engine-input.ts'
import { openLog } from '../log-file.ts'
import { Service } from '../service.ts'
import { type DemoSetup, demoSetup } from './configuration.ts'
import { startGateway } from './gateway.ts'
import { BATCH_CALLER, NIGHT, STOLEN_FROM } from './history.ts'
import { LogPush } from './log-push.ts'
import { type NightReport, playNight } from './night.ts'
import { grouped, Screen } from './screen.ts'
import { shiftedClock } from './shifted-clock.ts'
import { terminalSink } from './terminal-sink.ts'
import { startUpstream } from './upstream.ts'
import { WhatIf } from './what-if.ts'
import { printEnveloped, printWhatIf } from './what-if-table.ts'

const TENANT = 'default'
const LEARNING_LIMIT_MS = 60_000
const DAY_NAMES = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const

/** Runs the demo until its end (`exits`) or until `stop`; leaves nothing behind. */
export async function runDemo(io: Io, exits: boolean, stop: AbortSignal): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'curfew-demo-'))
  try {
    await demoIn(folder, io, exits, stop)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function demoIn(folder: string, io: Io, exits: boolean, stop: AbortSignal): Promise<void> {
  const screen = new Screen(io.stdout, io.isTerminal && io.env.NO_COLOR === undefined)
  const clock = shiftedClock(io.clock, NIGHT)
  const started = io.clock.now()
  const setup = await demoSetup(folder)
  screen.line(
    screen.styled(
      'bold',
      'Curfew demo: a stolen token at 3 AM. Everything runs on this machine; the night is 2026-03-18.',
    ),
  )
  screen.heading('1. Learn what is normal')
  const learnt = await teach(setup, clock, io.stdin)
  const logger = pino({ level: setup.config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }))
  const service = await Service.start({
    config: setup.config,
    role: 'all',
    clock,
    random: Math.random,
    logger,
    stdin: io.stdin,
    extraSinks: [terminalSink(screen)],
    dashboardToken: setup.adminToken,
  })
  const over = new AbortController()
  const work = liveNight(service, setup, clock, screen, learnt, AbortSignal.any([stop, over.signal]))
  try {
    const report = await Promise.race([work, service.failed])
    if (stop.aborted) return
    tellResult(report, service, setup, screen)
    whatIf(setup, screen)
    screen.line()
    screen.line(`The story took ${Math.round((io.clock.now() - started) / 1_000)} s.`)
    if (exits) return
    screen.line(`Dashboard: ${service.admin?.dashboardUrl ?? ''}`)
    screen.line('Curfew goes on until Ctrl-C.')
    await Promise.race([aborted(stop), service.failed])
  } finally {
    over.abort()
    await work.catch(() => undefined)
    await service.stop()
  }
}

/** Feeds the bundled log in, the way `curfew backfill` does. */
async function teach({ config }: DemoSetup, clock: Clock, stdin: Io['stdin']): Promise<BackfillCounts> {
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const backfill = await Backfill.open(config, config.sources[0]!, clock, silent)
  try {
    await backfill.take(await openLog(demoLogPath(), stdin))
  } finally {
    await backfill.close()
  }
  return backfill.counts
}

/** The bundled access log, beside the sources and beside the build. */
export function demoLogPath(): string {
  const inBuild = import.meta.url.endsWith('.js')
  return fileURLToPath(
    new URL(`${inBuild ? '../' : ''}../../samples/demo/kong-access.ndjson.gz`, import.meta.url),
  )
}

async function liveNight(
  service: Service,
  setup: DemoSetup,
  clock: Clock,
  screen: Screen,
  learnt: BackfillCounts,
  stop: AbortSignal,
): Promise<NightReport> {
  const controlPlane = service.controlPlane!
  await tellNormal(controlPlane, learnt, screen, stop)
  const upstream = await startUpstream()
  const push = new LogPush(`http://127.0.0.1:${service.pushPorts[0]}/ingest/kong`, setup.pushToken)
  const gateway = await startGateway({
    upstream: upstream.url,
    decisions: service.enforcement!.endpoint!.url,
    secret: setup.tokenSecret,
    clock,
    log: (line) => push.line(line),
  })
  try {
    screen.heading('2. The night, live: real clients, a gateway that verifies JWTs, its log pushed to Curfew')
    screen.line(`  dashboard ${service.admin?.dashboardUrl ?? ''}`)
    const { tokenSecret } = setup
    return await playNight({ gateway: gateway.url, tokenSecret, controlPlane, clock, screen }, stop)
  } finally {
    await gateway.close()
    await push.close()
    await upstream.close()
  }
}

/** Waits until the history is learnt and says what came of it. */
async function tellNormal(
  controlPlane: ControlPlane,
  learnt: BackfillCounts,
  screen: Screen,
  stop: AbortSignal,
): Promise<void> {
  const callers = await whenLearnt(controlPlane, learnt.events, stop)
  const days = Math.round((learnt.lastTime - learnt.firstTime) / 86_400_000)
  screen.line(
    `  ${grouped(learnt.events)} calls of ${callers.length} callers in ${days} days, from the bundled Kong log samples/demo/kong-access.ndjson.gz`,
  )
  for (const { username } of [STOLEN_FROM, BATCH_CALLER]) {
    const view = callers.find((c) => c.entity === `consumer:${username}`)
    if (view !== undefined) screen.line(`  ${normalText(view)}`)
  }
  const { items } = await controlPlane.incidents({ limit: 100 })
  screen.line(`  incidents in these days: ${items.length}`)
}

async function whenLearnt(
  controlPlane: ControlPlane,
  events: number,
  stop: AbortSignal,
): Promise<readonly PrincipalView[]> {
  for (let waited = 0; waited < LEARNING_LIMIT_MS && !stop.aborted; waited += 100) {
    const { items } = await controlPlane.principals({ tenant: TENANT, limit: 100 })
    if (items.reduce((sum, { events: own }) => sum + own, 0) >= events) return items
    await sleep(100, undefined, { signal: stop }).catch(() => undefined)
  }
  if (stop.aborted) return []
  throw new Error(`the bundled log was not learnt within ${LEARNING_LIMIT_MS / 1_000} s`)
}

function normalText({ entity, state, normal, hourOfWeek }: PrincipalView): string {
  const day = normal.find(({ feature, window }) => feature === 'records' && window === '1d')
  const usual =
    day === undefined
      ? 'no usual day yet'
      : `usually ${grouped(day.expected)} records a day, 99 % of days ${grouped(day.range[0])} to ${grouped(day.range[1])}`
  return `${entity} (${state}): ${usual}; active ${activeText(hourOfWeek)}`
}

/** `Mon to Fri, 08:00 to 17:00 UTC` */
function activeText(hourOfWeek: readonly number[]): string {
  const active = hourOfWeek.flatMap((share, hour) => (share > 0 ? [hour] : []))
  const days = [...new Set(active.map((hour) => Math.floor(hour / 24)))].sort((a, b) => a - b)
  const hours = active.map((hour) => hour % 24)
  const clock = (hour: number) => `${String(hour).padStart(2, '0')}:00`
  const span = `${clock(Math.min(...hours))} to ${clock(Math.max(...hours) + 1)} UTC`
  return `${DAY_NAMES[days[0] ?? 0]} to ${DAY_NAMES[days.at(-1) ?? 0]}, ${span}`
}

function tellResult(
  { thief, batch, decisions }: NightReport,
  service: Service,
  setup: DemoSetup,
  screen: Screen,
): void {
  screen.heading('3. What came of it')
  screen.line(`  with the stolen token: ${thief.text(screen)}`)
  screen.line(
    `  ${screen.styled('bold', `${grouped(thief.recordsBeforeHold)} records left before the throttle held`)}, ${grouped(thief.records)} of 10,000 in all`,
  )
  screen.line(
    `  ${BATCH_CALLER.username}, 3 AM as every night: ${batch.text(screen)}, ${grouped(batch.records)} records: not touched`,
  )
  const standing = decisions.findLast(({ status }) => status === 'in-force')
  if (standing === undefined || service.admin === null) return
  screen.line(
    '  If it was a planned migration after all, this lifts everything at once (so does the button on the dashboard):',
  )
  screen.line(
    `  curl -X POST -H 'authorization: Bearer ${setup.adminToken}' -H 'content-type: application/json' -d '{"reason":"planned migration"}' ${service.admin.url}/v1/decisions/${standing.decision.id}/release`,
  )
}

function whatIf({ config }: DemoSetup, screen: Screen): void {
  const source = config.sources[0]!
  const history = gunzipSync(readFileSync(demoLogPath())).toString('utf8').trimEnd().split('\n')
  const format = FORMATS.get(source.format)!
  const settings = { version: 1, ...engineSettings(config) }
  const simulation = new WhatIf({ history, format, source: sourceSettings(config, source), settings })
  printWhatIf(simulation.all(), screen)
  printEnveloped(simulation.enveloped(config.enforcement.envelopes.headroom), screen)
}

function aborted(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve()
    stop.addEventListener('abort', () => resolve(), { once: true })
  })
}
