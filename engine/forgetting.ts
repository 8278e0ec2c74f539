import type { Principal } from '../core/event.ts'
import { type Incident, stands } from './incident.ts'
import type { Partition } from './partition.ts'

/** A principal is to be forgotten. The effect itself names nobody. */
export interface ForgetEffect {
  readonly kind: 'forget'
  /** Id of the wish; a partition carries it out once. */
  readonly request: string
  /** Key under which the profile is stored: a keyed hash, see `profileStoreKey`. */
  readonly key: string
  /** When it was asked for, epoch ms: the present of a partition where nobody calls. */
  readonly time: number
  /** Decisions that are known to hold nowhere any more, whatever their event time says. */
  readonly ended: readonly string[]
}

/** Tells principals by the key under which their profiles are stored, and what lies beside these. */
export interface StoredNames {
  /** The key of a principal's profile. */
  identify(tenant: string, principal: Principal): string
  /** Drops what was set aside under a key because it could not be read. */
  discard(key: string): void
}

/** Wishes that a partition remembers, so that one which is asked for again is not carried out again. */
const REMEMBERED = 64

/**
 * Forgets a principal: its profile with its share in what is known about all, its incidents, and, of an address, the
 * lines that could not be read. Changes nothing while a decision on it stands: whoever is held could otherwise come
 * back as a newcomer. People are told, without a name, of the end of an open incident.
 */
export function forgetPrincipal(partition: Partition, effect: ForgetEffect, names: StoredNames): void {
  const { request, key, ended } = effect
  if (partition.forgotten.includes(request)) return
  partition.forgotten.push(request)
  if (partition.forgotten.length > REMEMBERED) partition.forgotten.shift()
  const isIt = (tenant: string, principal: Principal) => names.identify(tenant, principal) === key
  const at = Math.max(partition.now, effect.time)
  const { book, residents, unreadableLines } = partition
  const incidents = book.where((incident) => isAbout(incident, isIt))
  if (incidents.some((incident) => stands(incident, at, ended))) {
    book.outputs.push({ kind: 'forgotten', forgotten: { request, outcome: 'refused', incidents: [] } })
    return
  }
  const ids = incidents.map(({ id }) => id)
  // First: whoever tells people takes back what still names it before the ends of its incidents come.
  book.outputs.push({ kind: 'forgotten', forgotten: { request, outcome: 'done', incidents: ids } })
  for (const incident of incidents) book.forget(incident, at)
  for (const slot of residents.slots()) {
    const { tenant, principal } = residents.ownerOf(slot)
    if (!isIt(tenant, principal)) continue
    const population = principal.verified ? partition.known : partition.strangers
    residents.remove(slot, population.knowledge.sums.prior)
  }
  unreadableLines.forget((lines) => isAddress(lines, isIt))
  names.discard(key)
}

type IsIt = (tenant: string, principal: Principal) => boolean

function isAbout({ tenant, principal, linesKey }: Incident, isIt: IsIt): boolean {
  return linesKey === undefined ? isIt(tenant, principal) : isAddress(linesKey, isIt)
}

/** Whether unreadable lines are those of the address; see `UnreadableWatch` for their keys. */
function isAddress(linesKey: string, isIt: IsIt): boolean {
  const [tenant, , address] = linesKey.split('\u0000')
  if (tenant === undefined || address === undefined) return false
  return isIt(tenant, { kind: 'ip', id: address, label: address, verified: false })
}
