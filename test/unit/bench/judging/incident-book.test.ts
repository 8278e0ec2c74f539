import { describe, expect, it } from 'vitest'
import { CallBook } from '../../../../bench/judging/call-book.ts'
import { type AlertLine, IncidentBook } from '../../../../bench/judging/incident-book.ts'
import { Truth } from '../../../../bench/judging/truth.ts'
import type { EpisodeLabel, PrincipalLabel } from '../../../../bench/traffic/labels.ts'
import { accessEvent, episode, labels, principal, settled, type TinyCall } from './tiny-world.ts'

interface Said {
  readonly transition: AlertLine['transition']
  readonly incident?: string
  readonly entity?: AlertLine['entity']
  readonly feature?: string
}

/** Plays calls, each with what the engine said about it. */
function play(
  episodes: readonly (readonly [EpisodeLabel, readonly string[]])[],
  calls: readonly (TinyCall & { readonly said?: readonly Said[] })[],
  principals: readonly PrincipalLabel[] = [principal('ann'), principal('bob')],
) {
  const truth = new Truth(labels(principals, episodes))
  const book = new CallBook(truth)
  const incidents = new IncidentBook(truth)
  const seen = new Map<string, number>()
  const place = (id: string) => seen.get(id) ?? 0
  for (const p of principals) for (const call of settled(p.id.slice(9))) book.next(accessEvent(call))
  for (const { said, ...tiny } of calls) {
    const call = book.next(accessEvent(tiny))
    for (const { transition, incident, entity, feature } of said ?? []) {
      const reasons = [{ feature: feature ?? 'records/1h', weight: 1 }] as unknown as AlertLine['reasons']
      const time = new Date(call.event.time).toISOString()
      incidents.alert(
        {
          transition,
          incident: incident ?? 'i1',
          entity: entity ?? { type: 'principal', id: `consumer:${tiny.who}` },
          time,
          tenant: 'acme',
          reasons,
        },
        call,
        place,
      )
    }
    incidents.after(call, place)
    if (call.kind === 'attack') seen.set(call.episode!.id, place(call.episode!.id) + 1)
  }
  return incidents
}

const ATTACK = episode('a1', 'ann', [10, 12])
const IDS = ['x0', 'x1', 'x2']
const CALLS: readonly TinyCall[] = IDS.map((id, i) => ({ id, who: 'ann', hours: 10 + i }))
const opened: readonly Said[] = [{ transition: 'opened' }]

describe('incidents under judgement', () => {
  it('credits the call that opened an incident, with the right entity and reason', () => {
    const book = play([[ATTACK, IDS]], [CALLS[0]!, { ...CALLS[1]!, said: opened }, CALLS[2]!])
    expect(book.credits).toMatchObject([{ episode: 'a1', call: 1, rightEntity: true, rightReason: true }])
    expect(book.alarms).toMatchObject([{ kind: 'attack', holdsAttack: true }])
  })

  it('sees a wrong reason', () => {
    const said: readonly Said[] = [{ transition: 'opened', feature: 'hour-of-week/Mon 03:00 UTC' }]
    const book = play([[ATTACK, IDS]], [{ ...CALLS[0]!, said }])
    expect(book.credits).toMatchObject([{ rightReason: false }])
  })

  it('credits the next attack call when an own call of the victim opened the incident meanwhile', () => {
    const own = { id: 'b', who: 'ann', hours: 10.5, said: opened }
    const book = play([[ATTACK, IDS]], [CALLS[0]!, own, CALLS[1]!, CALLS[2]!])
    expect(book.credits).toMatchObject([{ call: 1 }])
    expect(book.alarms).toMatchObject([{ kind: 'after-attack', holdsAttack: true }])
  })

  it('neither credits nor charges an incident that was open before the attack', () => {
    const own = { id: 'b', who: 'ann', hours: 9, said: opened }
    const book = play([[ATTACK, IDS]], [own, ...CALLS])
    expect(book.credits).toEqual([])
    expect(book.alarms).toMatchObject([{ kind: 'ordinary', holdsAttack: true }])
  })

  it('credits such an incident once it is raised', () => {
    const own = { id: 'b', who: 'ann', hours: 9, said: opened }
    const raised: readonly Said[] = [{ transition: 'escalated' }]
    const book = play([[ATTACK, IDS]], [own, CALLS[0]!, { ...CALLS[1]!, said: raised }])
    expect(book.credits).toMatchObject([{ call: 1 }])
  })

  it('charges an incident that ended before the attack', () => {
    const own = { id: 'b', who: 'ann', hours: 1, said: opened }
    const ended = { id: 'c', who: 'bob', hours: 5, said: [{ transition: 'resolved' as const }] }
    const book = play([[ATTACK, IDS]], [own, ended, ...CALLS])
    expect(book.credits).toEqual([])
    expect(book.alarms).toMatchObject([{ kind: 'ordinary', holdsAttack: false }])
  })

  it('counts one alarm per entity in 24 hours', () => {
    const alarm = (id: string, hours: number): TinyCall & { said: readonly Said[] } => ({
      id,
      who: 'bob',
      hours,
      said: [
        { transition: 'opened', incident: id },
        { transition: 'resolved', incident: id },
      ],
    })
    const book = play([], [alarm('p', 1), alarm('q', 24.9), alarm('r', 25), alarm('s', 30)])
    expect(book.alarms.map((a) => (a.time / 3_600_000) % 24)).toEqual([1, 1])
  })

  it('does not let a noise alarm count as anything', () => {
    const noise = episode('n1', 'bob', [1, 2], { kind: 'noise', of: 'a1' })
    const book = play(
      [
        [ATTACK, IDS],
        [noise, ['y']],
      ],
      [{ id: 'y', who: 'bob', hours: 1, said: opened }],
    )
    expect(book.alarms).toMatchObject([{ kind: 'noise', holdsAttack: false }])
    expect(book.credits).toEqual([])
  })

  it('is not fooled by an alarm about everybody', () => {
    const tenant: readonly Said[] = [{ transition: 'opened', entity: { type: 'tenant', id: 'acme' } }]
    const book = play([[ATTACK, IDS]], [{ ...CALLS[0]!, said: tenant }, CALLS[1]!])
    expect(book.credits).toEqual([])
    expect(book.alarms).toMatchObject([{ caller: -1, holdsAttack: false }])
  })

  it('takes an alarm about an org where the org is the victim', () => {
    const spread = episode('a1', 'ann', [10, 12], { entities: [{ type: 'org', id: 'org:evil' }] })
    const org: readonly Said[] = [{ transition: 'opened', entity: { type: 'org', id: 'org:evil' } }]
    const people = [principal('ann', { org: 'org:evil' })]
    const book = play([[spread, IDS]], [CALLS[0]!, { ...CALLS[1]!, said: org }], people)
    expect(book.credits).toMatchObject([{ call: 1, rightEntity: true }])
  })

  it('knows that the address of an attack is not its victim', () => {
    const calls = CALLS.map((call) => ({ ...call, clientIp: '192.0.2.9' }))
    const ip: readonly Said[] = [{ transition: 'opened', entity: { type: 'ip', id: '192.0.2.9' } }]
    const book = play([[ATTACK, IDS]], [calls[0]!, { ...calls[1]!, said: ip }])
    expect(book.credits).toMatchObject([{ call: 1, rightEntity: false }])
  })

  it('credits nothing for the learning period', () => {
    const early = episode('a1', 'ann', [-20, 5], { harmFrom: Date.UTC(2026, 0, 15, 5) })
    const book = play([[early, IDS]], [{ id: 'x0', who: 'ann', hours: -20, said: opened }])
    expect(book.credits).toEqual([])
  })
})
