import { emptyPriorSums } from '../../../baseline/prior.ts'
import { MAX_SURPRISE } from '../../../baseline/tail.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { eventTime } from '../../../core/time.ts'
import { ABSTAIN, type Detector, type Question, type Section } from '../../../detectors/detector.ts'
import volume from '../../../detectors/volume.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  burst,
  call,
  consumer,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MONDAY,
  officeHabit,
  partition,
  routine,
} from '../../scenarios/engine/traffic.ts'
import { methodNovelty } from './method-novelty.ts'

/** A detector and what its strongest reason must say about the planted anomaly. */
export interface Subject {
  readonly detector: Detector
  readonly plantedFeature: RegExp
  /** Calls that it must find odd, where the usual night holds none of what it looks for. */
  readonly planted?: readonly AccessEvent[]
}

/** One promise of the interface; `check` throws when the detector breaks it. */
export interface DetectorCheck {
  readonly name: string
  readonly check: (subject: Subject) => void
}

const HABIT = officeHabit('orders')
const SUNDAY_3_AM = MONDAY + 27 * DAY_MS + 3 * HOUR_MS
const NORMAL = routine(HABIT, MONDAY, 26, 11)
/** The download of a Sunday night, ended by a method that the caller never used. */
const NIGHT = [
  ...burst(HABIT.principal, SUNDAY_3_AM, 300, 1_000, { records: 50, responseBytes: 20_000 }),
  call(SUNDAY_3_AM + 300_000, HABIT.principal, { method: 'DELETE', records: 50, responseBytes: 20_000 }),
]

/**
 * Calls of the same night: ids counted through, most of them refused, from two networks in turn, one answer of another
 * size, all removals, from elsewhere by another program; with calls in each hour of the day; after weeks of silence.
 */
export const PLANTED_CALLS = {
  walk: NIGHT.map((event, i) => ({ ...event, objectIds: [`${70_000 + i}`] })),
  refusals: NIGHT.map((event, i) => ({ ...event, status: 403, objectIds: [`${70_000 + 97 * i}`] })),
  strangers: NIGHT.map((event, i) => ({ ...event, objectIds: [`${70_000 + 97 * i}`] })),
  turns: NIGHT.map((event, i) => ({ ...event, clientIp: i % 2 === 0 ? '203.0.113.9' : '198.51.100.9' })),
  sizes: NIGHT.map((event, i) => ({
    ...event,
    method: 'GET',
    responseBytes: i < NIGHT.length - 1 ? 20_000 + (i % 7) * 100 : 2_000,
  })),
  // Which operations are rare is known after weeks only.
  removals: [
    ...routine(HABIT, MONDAY + 28 * DAY_MS, 28, 12),
    ...NIGHT.map((event) => ({ ...event, method: 'DELETE', time: eventTime(event.time + 28 * DAY_MS) })),
  ],
  elsewhere: NIGHT.map((event) => ({ ...event, clientIp: '203.0.113.9', userAgent: 'curl/8.5' })),
  aroundTheClock: inOrder(
    NIGHT,
    Array.from({ length: 24 }, (_, hour) => call(SUNDAY_3_AM + (hour - 3) * HOUR_MS, HABIT.principal)),
  ),
  afterSilence: NIGHT.map((event) => ({ ...event, time: eventTime(event.time + 21 * DAY_MS) })),
} as const

/** Lies in front of and behind the detector under test, so that both its borders are watched. */
const neighbour = (name: string): Detector => ({ ...methodNovelty, name })

interface Asked {
  readonly question: Question
  readonly section: Section
}

/** Plays calls to a partition whose incidents never open and asks at every one of them. */
function ask(detector: Detector, events: readonly AccessEvent[], visit: (asked: Asked) => void): Partition {
  const watched: Detector = {
    ...detector,
    score(question, section) {
      visit({ question, section })
      return ABSTAIN
    },
  }
  const engine = partition({
    detectors: [neighbour('front'), watched, neighbour('back')],
    values: { minIncidentSurprise: 30 },
  })
  for (const event of events) engine.step(event)
  return engine
}

/** Everything that lies in the profile, derived fields included. */
function bytesOf({ question: { profile } }: Asked): Uint8Array {
  return profile.bytes.slice(profile.base, profile.base + profile.derived + 152)
}

function fail(message: string): never {
  throw new Error(message)
}

function unchanged(before: Uint8Array, after: Uint8Array, what: string, allowed?: Section): void {
  for (let i = 0; i < before.length; i++) {
    const inside = allowed !== undefined && i >= allowed.offset && i < allowed.offset + allowed.bytes
    if (before[i] !== after[i] && !inside) fail(`${what} changed byte ${i} of the profile`)
  }
}

/** Calls in which everything optional is missing, or as large as a log can state it. */
const ODD: readonly AccessEvent[] = [
  { records: null, responseBytes: null, status: null, clientIp: null, userAgent: null, latencyMs: null },
  { records: 1e9, responseBytes: Number.MAX_SAFE_INTEGER },
  { records: 0, responseBytes: 0, status: 500 },
  { method: '', route: '', path: '', objectIds: [] },
  { method: '\u0000\uffff', userAgent: 'x'.repeat(512), parents: Array(16).fill('org:a') },
].map((changes, i) => call(MONDAY + 20 * DAY_MS + i * 1_000, HABIT.principal, changes))

export const DETECTOR_CHECKS: readonly DetectorCheck[] = [
  {
    name: 'describes itself',
    check({ detector: d }) {
      if (!/^[a-z][a-z-]*$/.test(d.name)) fail(`name ${d.name}`)
      if (d.summary.length < 20 || !d.summary.endsWith('.')) fail('summary is no sentence')
      if (d.sectionBytes % 8 !== 0 || d.sectionBytes < 0) fail(`section of ${d.sectionBytes} bytes`)
      if (!(d.weight > 0) || !Number.isInteger(d.version) || d.version < 1) fail('weight or version')
      if (!d.owasp.every((item) => /^API(10|[1-9]):2023$/.test(item))) fail('owasp')
    },
  },
  {
    name: 'score changes nothing',
    check({ detector, planted = NIGHT }) {
      ask(detector, [...NORMAL.slice(0, 150), ...planted], (asked) => {
        const before = bytesOf(asked)
        detector.score(asked.question, asked.section)
        unchanged(before, bytesOf(asked), 'score')
      })
    },
  },
  {
    name: 'the same question has the same answer',
    check({ detector, planted = NIGHT }) {
      ask(detector, [...NORMAL.slice(0, 200), ...planted], ({ question, section }) => {
        const first = detector.score(question, section)
        if (!Object.is(first, detector.score(question, section))) fail('asked twice, answered differently')
      })
    },
  },
  {
    name: 'keeps nothing outside the profile',
    check({ detector, planted = NIGHT }) {
      const answers = () => {
        const found: number[] = []
        ask(detector, [...NORMAL, ...planted], ({ question, section }) => {
          found.push(detector.score(question, section))
        })
        return found.join()
      }
      const first = answers()
      const second = answers()
      if (first !== second) fail('a second caller with the same history is judged differently')
    },
  },
  {
    name: 'answers with a surprise or abstains',
    check({ detector, planted = NIGHT }) {
      ask(detector, [...NORMAL, ...ODD, ...planted], ({ question, section }) => {
        const answer = detector.score(question, section)
        if (answer === ABSTAIN) return
        if (!(answer >= 0 && answer <= MAX_SURPRISE)) fail(`answered ${answer}`)
      })
    },
  },
  {
    name: 'does not accuse a stranger',
    check({ detector }) {
      for (let hour = 0; hour < 168; hour++) {
        const first = call(MONDAY + hour * HOUR_MS, consumer('stranger'))
        ask(detector, [first], ({ question, section }) => {
          const answer = detector.score(question, section)
          if (answer > 1) fail(`surprise ${answer} for a first ordinary call at hour ${hour}`)
        })
      }
    },
  },
  {
    name: 'ranks the planted anomaly first',
    check({ detector, planted = NIGHT }) {
      const answers: number[] = []
      ask(detector, [...NORMAL, ...planted], ({ question, section }) => {
        answers.push(detector.score(question, section))
      })
      const last = answers.pop()!
      const normal = Math.max(...answers.slice(0, NORMAL.length))
      if (!(last > normal)) fail(`the anomaly has ${last}, a normal call ${normal}`)
    },
  },
  {
    name: 'learn writes only to its section',
    check({ detector }) {
      const learning: Detector = {
        ...detector,
        learn(question, section, common) {
          const before = bytesOf({ question, section })
          detector.learn(question, section, common)
          unchanged(before, bytesOf({ question, section }), 'learn', section)
        },
      }
      const engine = partition({ detectors: [neighbour('front'), learning, neighbour('back')] })
      for (const event of NORMAL.slice(0, 200)) engine.step(event)
    },
  },
  {
    name: 'observe and settle write only to its section',
    check({ detector, planted = NIGHT }) {
      const sectionsOf: Asked[] = []
      const noting: Detector = {
        ...detector,
        observe(question, section, common) {
          const asked = { question, section }
          if (sectionsOf.length === 0) sectionsOf.push({ question: { ...question }, section })
          const before = bytesOf(asked)
          detector.observe?.(question, section, common)
          unchanged(before, bytesOf(asked), 'observe', section)
        },
        settle(profile, section) {
          const asked = { question: { ...sectionsOf[0]!.question, profile }, section }
          const before = bytesOf(asked)
          detector.settle?.(profile, section)
          unchanged(before, bytesOf(asked), 'settle', section)
        },
      }
      const engine = partition({ detectors: [volume, neighbour('front'), noting, neighbour('back')] })
      for (const event of [...NORMAL, ...planted]) engine.step(event)
      const incidents = [...engine.book.openIncidents()]
      if (incidents.length === 0) fail('the planted night opened no incident to settle')
      for (const { id } of incidents) engine.close(id, 'dismiss')
    },
  },
  {
    name: 'uses no clock, no chance and no timer',
    check({ detector, planted = NIGHT }) {
      ask(detector, [...NORMAL, ...planted.slice(0, 50)], ({ question, section }) => {
        withoutAmbience(() => {
          detector.observe?.(question, section, emptyPriorSums())
          detector.score(question, section)
          detector.explain(question, section)
        })
      })
      const learning: Detector = {
        ...detector,
        learn: (q, s, c) => withoutAmbience(() => detector.learn(q, s, c)),
      }
      const engine = partition({ detectors: [learning] })
      for (const event of NORMAL.slice(0, 100)) engine.step(event)
    },
  },
  {
    name: 'explains what it says',
    check({ detector, plantedFeature, planted = NIGHT }) {
      let top = ''
      ask(detector, [...NORMAL, ...planted], ({ question, section }) => {
        const reasons = detector.explain(question, section)
        const answer = detector.score(question, section)
        if (answer === ABSTAIN) {
          if (reasons.length > 0) fail('has reasons although it abstains')
          return
        }
        if (reasons.length < 1 || reasons.length > 4) fail(`${reasons.length} reasons`)
        const weights = reasons.reduce((sum, r) => sum + r.weight, 0)
        if (!(Math.abs(weights - 1) < 1e-9)) fail(`weights add up to ${weights}`)
        reasons.forEach((r, i) => {
          if (r.detector !== detector.name) fail(`a reason of ${r.detector}`)
          if (![r.observed, r.expected, ...r.range, r.surprise].every(Number.isFinite)) fail('not a number')
          if (r.range[0] > r.range[1]) fail('a range upside down')
          if (i > 0 && r.surprise > reasons[i - 1]!.surprise) fail('not the strongest first')
        })
        top = reasons[0]!.feature
      })
      if (!plantedFeature.test(top)) fail(`the strongest reason for the anomaly is ${top}`)
    },
  },
  {
    name: 'explain changes nothing and repeats itself',
    check({ detector, planted = NIGHT }) {
      ask(detector, [...NORMAL.slice(0, 200), ...planted], (asked) => {
        const before = bytesOf(asked)
        const first = JSON.stringify(detector.explain(asked.question, asked.section))
        const second = JSON.stringify(detector.explain(asked.question, asked.section))
        unchanged(before, bytesOf(asked), 'explain')
        if (first !== second) fail('explained the same call differently')
      })
    },
  },
]

/** Runs with everything ambient replaced by something that throws. */
function withoutAmbience(work: () => void): void {
  const kept = { now: Date.now, random: Math.random, performance: performance.now, timer: setTimeout }
  const refuse = (what: string) => () => fail(`used ${what}`)
  Date.now = refuse('Date.now')
  Math.random = refuse('Math.random')
  performance.now = refuse('performance.now')
  globalThis.setTimeout = Object.assign(refuse('setTimeout'), { __promisify__: kept.timer.__promisify__ })
  try {
    work()
  } finally {
    Date.now = kept.now
    Math.random = kept.random
    performance.now = kept.performance
    globalThis.setTimeout = kept.timer
  }
}
