import { describe, expect, it } from 'vitest'
import { LabelsError, parseLabels } from '../../../../bench/traffic/labels.ts'

const HEADER = {
  line: 'header',
  version: 'bench-v1',
  seed: 1,
  size: 'small',
  faults: false,
  tenantField: 'workspace_name',
  tenants: ['acme'],
  learnFrom: 1_000,
  judgeFrom: 2_000,
  judgeTo: 3_000,
  heldOutAttacks: [],
  heldOutLookalikes: [],
}
const CALLER = {
  line: 'principal',
  tenant: 'acme',
  id: 'consumer:anna',
  archetype: 'human',
  org: 'org:north',
  allowListed: false,
  events: 3,
}
const ATTACK = {
  line: 'episode',
  kind: 'attack',
  id: 'a-0',
  type: 'bulk-export',
  tenant: 'acme',
  entities: [{ type: 'principal', id: 'consumer:anna' }],
  from: 2_100,
  harmFrom: 2_200,
  to: 2_300,
  level: 'D2',
  features: ['records'],
  plannedRecords: 50,
  events: 2,
  heldOut: false,
  of: null,
}
const EVENTS = { line: 'events', episode: 'a-0', ids: ['e1', 'e2'] }
const FILE = [HEADER, CALLER, ATTACK, EVENTS]

const read = (lines: readonly object[]) => parseLabels(`${lines.map((l) => JSON.stringify(l)).join('\n')}\n`)

describe('a labels file', () => {
  it('is read whole', () => {
    const labels = read(FILE)
    expect(labels.header).toEqual(HEADER)
    expect(labels.principals).toEqual([CALLER])
    expect(labels.episodes).toEqual([ATTACK])
    expect([...labels.episodeOf]).toEqual([
      ['e1', 'a-0'],
      ['e2', 'a-0'],
    ])
  })

  it.each<readonly [string, readonly object[], RegExp]>([
    ['another version', [{ ...HEADER, version: 'bench-v0' }], /line 1: version bench-v0/],
    ['no header', [CALLER], /line 1: the header/],
    ['two headers', [HEADER, HEADER], /line 2: the header/],
    ['a caller twice', [HEADER, CALLER, CALLER], /line 3: consumer:anna appears twice/],
    ['an unknown tenant', [HEADER, { ...CALLER, tenant: 'other' }], /line 2: unknown tenant/],
    ['an attack without level', [HEADER, { ...ATTACK, level: null }], /line 2: level/],
    ['a look-alike with level', [HEADER, { ...ATTACK, kind: 'lookalike' }], /line 2: level/],
    ['times out of order', [HEADER, { ...ATTACK, harmFrom: 2_400 }], /line 2: from <= harmFrom <= to/],
    ['an unknown feature', [HEADER, { ...ATTACK, features: ['mood'] }], /line 2: features/],
    ['no victim', [HEADER, { ...ATTACK, entities: [] }], /line 2: no entity/],
    ['a pair of nothing', [HEADER, { ...ATTACK, kind: 'pair', level: null }], /line 2: of/],
    ['events of no episode', [HEADER, EVENTS], /line 2: events of the unknown episode/],
    ['an event twice', [HEADER, ATTACK, EVENTS, EVENTS], /line 4: event e1 belongs to two/],
    ['fewer events than stated', [HEADER, ATTACK], /a-0 states 2 events, has 0/],
    ['another kind of line', [HEADER, { line: 'note' }], /line 2: unknown kind of line "note"/],
  ])('is refused with %s', (_, lines, message) => {
    expect(() => read(lines)).toThrow(LabelsError)
    expect(() => read(lines)).toThrow(message)
  })

  it('is refused when a line is no JSON', () => {
    expect(() => parseLabels(`${JSON.stringify(HEADER)}\n{`)).toThrow(/line 2: not JSON/)
  })
})
