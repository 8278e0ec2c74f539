import type { StateStore } from '../baseline/store.ts'
import { profileKey } from '../core/event.ts'
import { type ControlEffect, encodeEffect } from '../engine/control-records.ts'
import type { Partition } from '../engine/partition.ts'
import { profileStoreKey } from '../engine/partition-state.ts'
import { DEFAULT_SETTINGS, type EngineSettings } from '../engine/settings.ts'

/** Requests over the length of the log, if nothing crashes. */
const REQUESTS = 40
const HALF_AN_HOUR_MS = 1_800_000
const LIFE_IDS = 1_000

/** What the partitions of these runs begin with. */
export const FIRST_SETTINGS: EngineSettings = {
  version: 1,
  values: DEFAULT_SETTINGS,
  modes: [{ mode: 'enforce' }],
  allow: [],
}

/**
 * Operators who change things while the log is read: thresholds and exceptions, accepted and dismissed
 * incidents, released decisions, callers that are forgotten, and the time, which passes by itself.
 */
export class Operators {
  private readonly store: StateStore
  private readonly every: number
  private readonly life: number
  private readonly identityKey: Uint8Array
  private readonly forgetsUntil: number
  private asked = 0
  private due: number | null = null

  constructor(store: StateStore, total: number, life: number, identityKey: Uint8Array) {
    this.identityKey = identityKey
    this.forgetsUntil = (total * 3) / 4
    this.store = store
    this.every = Math.max(1, Math.floor(total / REQUESTS))
    this.life = life
  }

  /** Asks for the next change when enough was read since the last. */
  async after(read: number, partitions: readonly Partition[]): Promise<void> {
    this.due ??= read + this.every
    if (read < this.due) return
    this.due = read + this.every
    const number = this.life * LIFE_IDS + ++this.asked
    // Early in each life, and early enough that whoever is forgotten calls again.
    const forgets = this.asked % 8 === 2 && read < this.forgetsUntil
    const effect = forgets
      ? forgetOne(number, partitions, this.identityKey)
      : effectOf(this.asked, number, partitions)
    if (effect === null) return
    // Nobody knows in advance which partition an incident is in; for the others it means nothing.
    for (let partition = 0; partition < partitions.length; partition++) {
      await this.store.request(partition, {
        id: `asked-${number}`,
        kind: effect.kind,
        body: encodeEffect(effect),
      })
    }
  }
}

function effectOf(turn: number, number: number, partitions: readonly Partition[]): ControlEffect | null {
  const open = partitions.flatMap((partition) => [...partition.book.openIncidents()])
  const incident = open[turn % Math.max(1, open.length)]
  const issued = incident?.issued.at(-1)
  if (turn % 4 === 0) {
    const time = Math.max(...partitions.map((partition) => partition.now)) + HALF_AN_HOUR_MS
    return { kind: 'tick', time }
  }
  if (turn % 4 === 1) return { kind: 'settings', settings: settingsOf(turn, number + 1) }
  if (incident === undefined) return null
  if (turn % 4 === 2 && issued !== undefined)
    return { kind: 'decision-released', incident: incident.id, decision: issued.id }
  return { kind: 'close-incident', incident: incident.id, verdict: turn % 8 < 4 ? 'accept' : 'dismiss' }
}

/** Has one of the callers forgotten, who goes on calling. */
function forgetOne(
  number: number,
  partitions: readonly Partition[],
  identityKey: Uint8Array,
): ControlEffect | null {
  const keys = partitions.flatMap(({ residents }) =>
    [...residents.slots()].map((slot) => {
      const { tenant, principal } = residents.ownerOf(slot)
      return profileStoreKey(identityKey, tenant, profileKey(tenant, principal))
    }),
  )
  const key = keys.sort()[number % Math.max(1, keys.length)]
  if (key === undefined) return null
  return { kind: 'forget', request: `asked-${number}`, key, time: 0, ended: [] }
}

function settingsOf(turn: number, version: number): EngineSettings {
  const tightened = turn % 8 === 1
  return {
    ...FIRST_SETTINGS,
    version,
    values: { ...DEFAULT_SETTINGS, minIncidentSurprise: tightened ? 3 : 4 },
    allow: [],
  }
}
