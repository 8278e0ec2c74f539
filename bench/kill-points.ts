/** What a kill point lies within. */
export type KillKind = 'checkpoint' | 'control' | 'knowledge' | 'outbox' | 'gateway' | 'sink'

export interface KillPoint {
  readonly name: string
  readonly kind: KillKind
  /** The stores that have it. */
  readonly stores: readonly ('redis' | 'embedded')[]
  readonly where: string
}

const BOTH = ['redis', 'embedded'] as const
const FILES = ['embedded'] as const
const REDIS = ['redis'] as const

/** Where a process may die, by name. */
export const KILL_POINTS: readonly KillPoint[] = [
  { name: 'commit-before', kind: 'checkpoint', stores: BOTH, where: 'a checkpoint is made up, not sent' },
  { name: 'commit-under-way', kind: 'checkpoint', stores: BOTH, where: 'a checkpoint is on its way' },
  { name: 'commit-after', kind: 'checkpoint', stores: BOTH, where: 'a checkpoint is written, nobody knows' },
  { name: 'frame-torn', kind: 'checkpoint', stores: FILES, where: 'half of a frame is written' },
  { name: 'frame-lost', kind: 'checkpoint', stores: FILES, where: 'a frame is written and the power fails' },
  { name: 'frame-synced', kind: 'checkpoint', stores: FILES, where: 'a frame is on disk, nobody knows' },
  { name: 'snapshot-torn', kind: 'checkpoint', stores: FILES, where: 'half of a snapshot frame is written' },
  { name: 'rename-before', kind: 'checkpoint', stores: FILES, where: 'a snapshot is whole and has no name' },
  { name: 'rename-after', kind: 'checkpoint', stores: FILES, where: 'a snapshot has its name' },
  { name: 'prune', kind: 'checkpoint', stores: FILES, where: 'the first old file is about to go' },
  { name: 'script-before', kind: 'checkpoint', stores: REDIS, where: 'the script does not arrive' },
  { name: 'script-after', kind: 'checkpoint', stores: REDIS, where: 'the script ran, its answer is lost' },
  { name: 'answer-lost', kind: 'checkpoint', stores: REDIS, where: 'the script ran and was sent again' },
  { name: 'control-before', kind: 'control', stores: BOTH, where: 'a control record is not yet written' },
  { name: 'control-after', kind: 'control', stores: BOTH, where: 'a control record is written, not applied' },
  { name: 'settle', kind: 'control', stores: BOTH, where: 'a request has its record and still waits' },
  { name: 'merge-before', kind: 'knowledge', stores: REDIS, where: 'sums are merged, no document says so' },
  { name: 'merge-after', kind: 'knowledge', stores: REDIS, where: 'a document says whom to ask, nobody was' },
  { name: 'merge-asked', kind: 'knowledge', stores: REDIS, where: 'one partition was asked, others not' },
  { name: 'outbox-before', kind: 'outbox', stores: BOTH, where: 'an output is not yet in the outbox' },
  { name: 'outbox-after', kind: 'outbox', stores: BOTH, where: 'an output is in the outbox only' },
  { name: 'cursor', kind: 'outbox', stores: BOTH, where: 'entries are taken, the cursor stands before them' },
  { name: 'noted', kind: 'gateway', stores: BOTH, where: 'a decision is on record, no receipt says more' },
  { name: 'put-before', kind: 'gateway', stores: BOTH, where: 'a gateway is about to be asked' },
  { name: 'put-after', kind: 'gateway', stores: BOTH, where: 'a gateway holds a rule, no receipt says so' },
  { name: 'deliver-before', kind: 'sink', stores: BOTH, where: 'a message is about to leave' },
  { name: 'deliver-after', kind: 'sink', stores: BOTH, where: 'a message has arrived, no note says so' },
  { name: 'deliver-noted', kind: 'sink', stores: BOTH, where: 'a message has arrived and is noted' },
]

/** Dies, or stands still until told to go on, at one passage of one point; counts the passages of all. */
export class KillSwitch {
  readonly passages: Record<string, number> = {}
  readonly #armed: { readonly point: string; readonly passage: number } | null
  readonly #act: () => void

  constructor(armed: { readonly point: string; readonly passage: number } | null, act: () => void) {
    this.#armed = armed
    this.#act = act
  }

  /** Whether this process is to die at the point at some time. */
  isFor(...points: readonly string[]): boolean {
    return this.#armed !== null && points.includes(this.#armed.point)
  }

  /** True at the passage that is to be the last; {@link act} must follow. */
  isDue(point: string): boolean {
    const count = (this.passages[point] ?? 0) + 1
    this.passages[point] = count
    return this.isFor(point) && count === this.#armed?.passage
  }

  act(): void {
    this.#act()
  }

  /** One passage where there is nothing to prepare. */
  pass(point: string): void {
    if (this.isDue(point)) this.act()
  }
}

/** Nothing after this call happens. */
export function die(): void {
  process.kill(process.pid, 'SIGKILL')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}
