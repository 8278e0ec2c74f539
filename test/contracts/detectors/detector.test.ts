import { describe, expect, it } from 'vitest'
import { emptyPriorSums } from '../../../baseline/prior.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { ABSTAIN, type Detector, type Question, type Section } from '../../../detectors/detector.ts'
import { LEVEL_PLACES } from '../../../engine/levels.ts'
import { DETECTOR_CHECKS, PLANTED_CALLS, type Subject } from './detector-contract.ts'
import { methodNovelty } from './method-novelty.ts'

/** What each detector must say first about the Sunday night download. */
const PLANTED_FEATURES: Readonly<Record<string, RegExp>> = {
  volume: /^(requests|records|bytes)\/(1m|10m|1h|1d)$/,
  'off-hours': /^hour-of-week\/Sun 03:00 UTC$/,
  burst: /^requests\/10s$/,
  probing: /^refusals\/1h$/,
  enumeration: /^id-steps\/1h$/,
  'token-sharing': /^network-turns\/1h$/,
  'change-point': /^bytes\/call$/,
  'new-objects': /^object\/new$/,
  sequence: /^sequence\/DELETE /,
  novelty: /^hour-of-day\/03:00 UTC$/,
  surge: /^(requests|records|writes|objects)\/largest-hour$/,
  'new-place': /^network\/new-with-client$/,
  awakening: /^records\/after-silence$/,
  'long-day': /^hours\/day$/,
  'rare-operations': /^operation\/DELETE /,
  'method-novelty': /^methods\/DELETE$/,
}

const PLANTED: Readonly<Record<string, readonly AccessEvent[]>> = {
  probing: PLANTED_CALLS.refusals,
  enumeration: PLANTED_CALLS.walk,
  'new-objects': PLANTED_CALLS.strangers,
  'token-sharing': PLANTED_CALLS.turns,
  'change-point': PLANTED_CALLS.sizes,
  'new-place': PLANTED_CALLS.elsewhere,
  awakening: PLANTED_CALLS.afterSilence,
  'long-day': PLANTED_CALLS.aroundTheClock,
  'rare-operations': PLANTED_CALLS.removals,
}

function subjectOf(detector: Detector): Subject {
  const plantedFeature = PLANTED_FEATURES[detector.name]
  if (plantedFeature === undefined)
    throw new Error(`say what ${detector.name} must find in the planted night`)
  const planted = PLANTED[detector.name]
  return planted === undefined ? { detector, plantedFeature } : { detector, plantedFeature, planted }
}

describe.each([...DETECTORS, methodNovelty].map((d) => [d.name, d] as const))('%s', (_, detector) => {
  it.each(DETECTOR_CHECKS.map((c) => [c.name, c] as const))('%s', (_name, { check }) => {
    check(subjectOf(detector))
  })
})

describe('the catalogue', () => {
  it('has no name twice', () => {
    expect(new Set(DETECTORS.map((d) => d.name)).size).toBe(DETECTORS.length)
  })

  it('has no place twice, and none that there is no room for', () => {
    expect(new Set(DETECTORS.map((d) => d.place)).size).toBe(DETECTORS.length)
    expect(
      DETECTORS.every(({ place }) => Number.isInteger(place) && place >= 0 && place < LEVEL_PLACES),
    ).toBe(true)
  })
})

const { score, explain, learn } = methodNovelty
const answering = (change: (answer: number, question: Question, section: Section) => number): Detector => ({
  ...methodNovelty,
  score: (question, section) => {
    const answer = score(question, section)
    return answer === ABSTAIN ? answer : change(answer, question, section)
  },
})

let asked = 0
let learnt = 0

/** Detectors that are wrong in one way each, and the check that must find it. */
const TWINS: readonly (readonly [string, string, Detector])[] = [
  ['a section that is no multiple of 8', 'describes itself', { ...methodNovelty, sectionBytes: 12 }],
  [
    'a score that counts in its section',
    'score changes nothing',
    {
      ...methodNovelty,
      score: (question, section) => {
        question.profile.u32[(question.profile.base + section.offset) / 4]! += 1
        return score(question, section)
      },
    },
  ],
  [
    'a score that touches the running totals',
    'score changes nothing',
    answering((answer, { profile }) => {
      profile.f64[(profile.base + 80) / 8]! += 1
      return answer
    }),
  ],
  [
    'an answer that depends on how often it was asked',
    'the same question has the same answer',
    answering((answer) => answer + ++asked * 1e-9),
  ],
  [
    'a memory beside the profile',
    'keeps nothing outside the profile',
    {
      ...answering((answer) => answer + learnt * 1e-9),
      learn: (question, section, common) => {
        learnt++
        learn(question, section, common)
      },
    },
  ],
  [
    'not a number where the log says nothing',
    'answers with a surprise or abstains',
    answering((answer, { event }) => (event.records === null ? Number.NaN : answer)),
  ],
  [
    'infinity for what is impossible',
    'answers with a surprise or abstains',
    answering((answer) => (answer > 0 ? Number.POSITIVE_INFINITY : 0)),
  ],
  [
    'a negative surprise',
    'answers with a surprise or abstains',
    answering((answer) => (answer > 0 ? answer : -0.5)),
  ],
  [
    'an opinion about somebody never seen',
    'does not accuse a stranger',
    { ...methodNovelty, score: () => 3 },
  ],
  ['the wrong way round', 'ranks the planted anomaly first', answering((answer) => 1 / (1 + answer))],
  [
    'a lesson written to its neighbour',
    'learn writes only to its section',
    {
      ...methodNovelty,
      learn: (question, section, common) =>
        learn(question, { ...section, offset: section.offset + 8 }, common),
    },
  ],
  [
    'a lesson written in front of its section',
    'learn writes only to its section',
    {
      ...methodNovelty,
      learn: (question, section, common) =>
        learn(question, { ...section, offset: section.offset - 8 }, common),
    },
  ],
  [
    'a note written to its neighbour',
    'observe and settle write only to its section',
    {
      ...methodNovelty,
      observe: ({ profile }, { offset }) => {
        profile.u32[(profile.base + offset + 8) / 4]! += 1
      },
    },
  ],
  [
    'a settlement that empties its neighbour',
    'observe and settle write only to its section',
    {
      ...methodNovelty,
      settle: (profile, { offset }) =>
        void profile.bytes.fill(255, profile.base + offset - 8, profile.base + offset),
    },
  ],
  [
    'a look at the clock',
    'uses no clock, no chance and no timer',
    answering((answer) => answer + 0 * Date.now()),
  ],
  [
    'a throw of dice',
    'uses no clock, no chance and no timer',
    answering((answer) => answer + 0 * Math.random()),
  ],
  [
    'a timer',
    'uses no clock, no chance and no timer',
    answering((answer) => {
      clearTimeout(setTimeout(() => undefined, 0))
      return answer
    }),
  ],
  [
    'weights that do not add up',
    'explains what it says',
    {
      ...methodNovelty,
      explain: (question, section) => explain(question, section).map((r) => ({ ...r, weight: 0.7 })),
    },
  ],
  [
    'reasons although it abstains',
    'explains what it says',
    {
      ...methodNovelty,
      explain: (question, section) => {
        const [reason] = explain(question, section)
        return [
          reason ?? {
            detector: 'method-novelty',
            feature: 'methods/GET',
            observed: 0,
            expected: 0,
            range: [0, 1],
            unit: 'calls',
            surprise: 0,
            weight: 1,
            comparedWith: 'peers',
          },
        ]
      },
    },
  ],
  [
    'a reason that has nothing to do with it',
    'explains what it says',
    {
      ...methodNovelty,
      explain: (question, section) =>
        explain(question, section).map((r) => ({ ...r, feature: 'methods/GET' })),
    },
  ],
  [
    'an explanation that learns',
    'explain changes nothing and repeats itself',
    {
      ...methodNovelty,
      explain: (question, section) => {
        learn(question, section, emptyPriorSums())
        return explain(question, section)
      },
    },
  ],
]

describe('the contract rejects', () => {
  it.each(TWINS)('%s, by the check "%s"', (_, name, twin) => {
    const named = DETECTOR_CHECKS.find((c) => c.name === name)
    expect(() => named?.check(subjectOf(twin))).toThrow()
  })
})
