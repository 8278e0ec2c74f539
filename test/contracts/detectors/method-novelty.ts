import { ABSTAIN, type Detector, type Question, type Section } from '../../../detectors/detector.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
const MIN_CALLS = 20

const at = ({ profile }: Question, section: Section) => (profile.base + section.offset) / 4
const bitOf = ({ event }: Question) => 1 << (METHODS.indexOf(event.method) + 1)

/**
 * The smallest detector that needs a section of its own: a method that this caller never used. Right in
 * every respect that the contract checks; the wrong twins are made from it.
 */
export const methodNovelty: Detector = {
  name: 'method-novelty',
  place: 15,
  version: 1,
  summary: 'A method that this caller never used.',
  sectionBytes: 8,
  weight: 0.5,
  owasp: ['API5:2023'],
  score(question, section) {
    const calls = question.profile.u32[at(question, section)]!
    if (calls < MIN_CALLS) return ABSTAIN
    const isKnown = (question.profile.u32[at(question, section) + 1]! & bitOf(question)) !== 0
    return isKnown ? 0 : Math.log10(calls + 1)
  },
  explain(question, section) {
    const surprise = methodNovelty.score(question, section)
    if (surprise === ABSTAIN) return []
    return [
      {
        detector: 'method-novelty',
        feature: `methods/${question.event.method}`,
        observed: 1,
        expected: 0,
        range: [0, 1],
        unit: 'calls',
        surprise,
        weight: 1,
        comparedWith: 'own history',
      },
    ]
  },
  learn(question, section) {
    question.profile.u32[at(question, section)]! += 1
    question.profile.u32[at(question, section) + 1]! |= bitOf(question)
  },
}
