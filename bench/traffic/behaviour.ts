import { DAY, HOUR, isHoliday, MINUTE, offsetAt, SECOND, START, weekday } from './calendar.ts'
import { makeCall, routeOf, usualObject, usualPage } from './calls.ts'
import type { CallSink } from './event-buffer.ts'
import type { Modifier, Principal } from './principal.ts'
import { hash, type Random } from './random.ts'
import { OP, OPS } from './routes.ts'

/** What a caller does of its own accord on one local day that begins on this day of the log (UTC). */
export function playDay(p: Principal, day: number, sink: CallSink): void {
  const begin = START + day * DAY
  if (begin + 2 * DAY <= p.bornAt || begin >= p.diesAt) return
  const offset = offsetAt(p.is.zone, begin)
  const localStart = begin + (((-offset % DAY) + DAY) % DAY)
  const localDay = Math.round((localStart + offset - START) / DAY)
  const life: CallSink = {
    add: (call) => (call.time >= p.bornAt && call.time < p.diesAt ? sink.add(call) : undefined),
  }
  const guarded = p.bornAt > begin || p.diesAt < begin + 2 * DAY ? life : sink
  const rhythm = p.is.model.rhythm
  if (rhythm === 'sessions') playSessions(p, localStart, localDay, guarded)
  else if (rhythm === 'poisson') playHours(p, localStart, localDay, guarded)
  else if (rhythm === 'jobs') playJobs(p, localStart, guarded)
  else if (rhythm === 'exports') playExports(p, localStart, localDay, guarded)
  else if (rhythm === 'builds') playBuilds(p, localStart, localDay, guarded)
  else playProbe(p, begin, guarded)
}

const DAYS_A_LIFE = 28

/** Expected calls of a local day, without the look-alikes that change hours only. */
function expected(p: Principal, localDay: number): number {
  const { model, rate, zone, index } = p.is
  const isWeekend = weekday(localDay) >= 5
  const works = model.network === 'person'
  let mean = rate / DAYS_A_LIFE
  if (works) mean *= isWeekend ? 0.2 : 1.32
  else if (model.network === 'mobile') mean *= isWeekend ? 1.25 : 0.9
  else if (isWeekend) mean *= 1 - 0.6 * p.is.amplitude
  if (isHoliday(zone, localDay)) mean *= works ? 0.12 : 1 - 0.4 * p.is.amplitude
  return mean * drift(index, localDay) * p.random.logNormal(0.94, 0.35)
}

/** A slow wander, different for everybody: sums of sines of hashed phase, at most some 25 % up or down. */
function drift(index: number, localDay: number): number {
  const phase = (hash(index, 5) % 1_000) / 1_000
  const strength = (hash(index, 6) % 1_000) / 1_000
  const wave =
    Math.sin(2 * Math.PI * (localDay / 19 + phase)) + 0.5 * Math.sin(2 * Math.PI * (localDay / 8 + 3 * phase))
  return Math.exp(0.16 * strength * wave)
}

function active(p: Principal, time: number, of: (m: Modifier) => boolean): Modifier | undefined {
  return p.modifiers.length === 0
    ? undefined
    : p.modifiers.find((m) => time >= m.from && time < m.to && of(m))
}

function rateAt(p: Principal, time: number): number {
  let times = 1
  for (const m of p.modifiers) if (m.rate !== undefined && time >= m.from && time < m.to) times *= m.rate
  return times
}

function strongestRate(p: Principal, from: number): number {
  let most = 1
  for (const m of p.modifiers) {
    if (m.rate !== undefined && m.from < from + DAY && m.to > from) most = Math.max(most, m.rate)
  }
  return most
}

function playSessions(p: Principal, localStart: number, localDay: number, sink: CallSink): void {
  const { random } = p
  const { burst } = p.is.model
  const most = strongestRate(p, localStart)
  let left = random.poisson((most * expected(p, localDay)) / burst)
  for (; left > 0; left--) {
    const start = localStart + startHour(p, random) * HOUR
    if (most > 1 && !random.chance(rateAt(p, start) / most)) continue
    playSession(
      p,
      start + (active(p, start, (m) => m.shiftHours !== undefined)?.shiftHours ?? 0) * HOUR,
      sink,
    )
  }
}

/** Local hour at which a person sits down: mornings and afternoons with lunch between, or around the app. */
function startHour(p: Principal, random: Random): number {
  const u = random.next()
  const { network } = p.is.model
  let hour: number
  if (network === 'mobile') {
    if (u < 0.2) hour = 8 + 1.2 * random.gaussian()
    else if (u < 0.4) hour = 12.6 + random.gaussian()
    else if (u < 0.9) hour = 20 + 2.4 * random.gaussian()
    else hour = random.between(0, 24)
  } else if (u < 0.46) hour = 10 + 1.3 * random.gaussian()
  else if (u < 0.89) hour = 14.9 + 1.5 * random.gaussian()
  else if (u < 0.98) hour = 20 + 1.5 * random.gaussian()
  else hour = random.between(0, 24)
  return (((hour + p.is.shiftHours) % 24) + 24) % 24
}

/** A sitting: log in at times, then a walk along the caller's chain. */
export function playSession(p: Principal, start: number, sink: CallSink): void {
  const { random } = p
  const { burst, gap } = p.is.model
  const { table } = p.is.tenant
  p.session++
  let time = start
  const isPerson = p.is.model.network === 'person' || p.is.model.network === 'mobile'
  if (isPerson && p.is.tokenLife > 0 && random.chance(0.3)) {
    time = makeCall(sink, p, table.login, time, -1, 0, null) + 1_000
  }
  p.op = OP.auth
  const calls = random.geometric(burst * random.logNormal(0.85, 0.5))
  for (let i = 0; i < calls; i++) time = nextCall(p, time, sink) + random.logNormal(...gap) * SECOND
}

/** One step along the chain. Returns when it was complete. */
function nextCall(p: Principal, time: number, sink: CallSink): number {
  const { random } = p
  const chain = active(p, time, (m) => m.chain !== undefined)?.chain ?? p.is.chain
  p.op = random.weighted(chain, p.op * OPS.length, OPS.length)
  const again = random.chance(0.7)
  if (!again) p.resource = nextResource(p, time, random)
  const route = routeOf(p, p.op, p.resource, random)
  const page = usualPage(p, route, random)
  return makeCall(sink, p, route, time, usualObject(p, route, time, random), page, null)
}

function nextResource(p: Principal, time: number, random: Random): number {
  const changed = active(p, time, (m) => m.resources !== undefined)
  if (changed !== undefined && changed.resources !== undefined) {
    const share = Math.min(1, (time - changed.from) / ((changed.full ?? changed.from + 1) - changed.from))
    if (random.chance(share)) return changed.resources[random.below(changed.resources.length)]!
  }
  if (time >= p.adoptsAt && random.chance(0.22)) return p.is.tenant.table.featureResource
  return p.is.resources[random.weighted(p.is.resourceWeights)]!
}

/** Bursts whose number follows the hour; what a burst holds is like a self-exciting process seen from outside. */
function playHours(p: Principal, localStart: number, localDay: number, sink: CallSink): void {
  const { random } = p
  const { burst, gap } = p.is.model
  const mean = expected(p, localDay) / 24
  const { amplitude } = p.is
  for (let hour = 0; hour < 24; hour++) {
    const from = localStart + hour * HOUR
    const work = Math.exp(-(((hour - 13.5 - p.is.shiftHours) / 4.2) ** 2) / 2)
    const shape = 1 - amplitude + amplitude * (2.28 * work)
    const wanted = mean * shape * rateAt(p, from) * random.logNormal(0.96, 0.28)
    for (let bursts = random.poisson(wanted / burst); bursts > 0; bursts--) {
      p.session++
      let time = from + random.next() * HOUR
      for (let i = random.geometric(burst); i > 0; i--)
        time = nextCall(p, time, sink) + random.logNormal(...gap) * SECOND
    }
  }
}

function playJobs(p: Principal, localStart: number, sink: CallSink): void {
  const { random } = p
  for (const job of p.is.jobs) {
    for (let minute = job.atMinute % job.everyMinutes; minute < 1_440; minute += job.everyMinutes) {
      if (random.chance(0.015)) continue
      p.session++
      const start = localStart + minute * MINUTE + random.logNormal(2.5, 0.7) * SECOND
      const calls = Math.max(1, Math.round(job.calls * rateAt(p, start) * random.logNormal(1, 0.12)))
      let time = start
      for (let i = 0; i < calls; i++) {
        const [op, resource] = job.script[i % job.script.length]!
        const route = routeOf(p, op, resource, random)
        const page =
          route.op === 'list' ? 1 + Math.floor(i / job.script.length) : route.op === 'search' ? i : 0
        time = makeCall(sink, p, route, time, usualObject(p, route, time, random), page, null)
        time += random.logNormal(0.4, 0.5) * SECOND
      }
    }
  }
}

/** Nightly or several times a day: page after page until everything is fetched. */
function playExports(p: Principal, localStart: number, localDay: number, sink: CallSink): void {
  const { random } = p
  const { index, tenant } = p.is
  const runs = 1 + (hash(index, 8) % 3)
  const mean = expected(p, localDay) / runs
  for (let run = 0; run < runs; run++) {
    const hour = run === 0 ? 1 + (hash(index, 9) % 4) : (hash(index, 9, run) % 24) + 0.25
    p.session++
    let time = localStart + hour * HOUR + random.logNormal(40, 0.8) * SECOND
    let left = Math.round(mean * rateAt(p, time) * random.logNormal(1, 0.25))
    while (left > 0) {
      const route = tenant.table.of(nextResource(p, time, random), random.chance(0.5) ? 'export' : 'list')
      for (let page = 1; page <= 20 && left > 0; page++, left--) {
        time = makeCall(sink, p, route, time, -1, page, null) + random.logNormal(0.7, 0.5) * SECOND
      }
    }
  }
}

function playBuilds(p: Principal, localStart: number, localDay: number, sink: CallSink): void {
  const { random } = p
  const { burst } = p.is.model
  for (let builds = random.poisson(expected(p, localDay) / burst); builds > 0; builds--) {
    const hour = random.chance(0.85) ? 13.5 + 3 * random.gaussian() : random.between(0, 24)
    let time = localStart + ((((hour + p.is.shiftHours) % 24) + 24) % 24) * HOUR
    p.session++
    p.op = OP.auth
    const calls = Math.max(3, Math.round(burst * random.logNormal(1, 0.35)))
    for (let i = 0; i < calls; i++) time = nextCall(p, time, sink) + random.logNormal(0.5, 0.6) * SECOND
  }
}

function playProbe(p: Principal, begin: number, sink: CallSink): void {
  const { random } = p
  const { table } = p.is.tenant
  const every = (DAYS_A_LIFE * DAY) / p.is.rate
  const canary = table.of(p.is.resources[0]!, 'read')
  for (let time = begin + (hash(p.is.index) % Math.floor(every)); time < begin + DAY; time += every) {
    if (random.chance(0.002)) continue
    p.session++
    const isCanary = random.chance(0.2)
    const at = time + random.exponential(0.4 * SECOND)
    const object = isCanary ? p.ownFrom + random.below(p.ownCount) : -1
    makeCall(sink, p, isCanary ? canary : table.health, at, object, 0, null)
  }
}
