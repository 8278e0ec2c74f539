import type { Mask } from './mask.ts'

interface Step {
  /** A `read` asks and changes nothing; a `write` is what a dry run never sends. */
  readonly effect: 'read' | 'write'
  /** Whether it was carried out: reads are unless the dry run is offline, writes never. */
  readonly sent: boolean
}

/** One request to a control plane. Secrets are `***`. */
export interface HttpStep extends Step {
  readonly kind: 'http'
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  /** Header and claims, where the body is a signed Security Event Token. */
  readonly event?: { readonly header: unknown; readonly claims: unknown }
}

/** One command of the AWS SDK, before it is signed. */
export interface AwsStep extends Step {
  readonly kind: 'aws'
  readonly service: string
  readonly operation: string
  readonly input: unknown
}

/** One command of HAProxy's Runtime API. */
export interface HaproxyStep extends Step {
  readonly kind: 'haproxy'
  readonly socket: string
  readonly command: string
}

/** One command to Redis, as its words. */
export interface RedisStep extends Step {
  readonly kind: 'redis'
  readonly address: string
  readonly words: readonly string[]
}

/** A file on this machine that is replaced; `text` is null where it is removed. */
export interface FileStep extends Step {
  readonly kind: 'file'
  readonly path: string
  readonly text: string | null
}

/** An entry of a store that is kept on this machine; `text` is null where it is removed. */
export interface EntryStep extends Step {
  readonly kind: 'entry'
  readonly store: string
  readonly field: string
  readonly text: string | null
}

export type DryStep = HttpStep | AwsStep | HaproxyStep | RedisStep | FileStep | EntryStep

/** Steps in their order, and what a reader of them must know. */
export interface Recorded {
  readonly steps: readonly DryStep[]
  readonly notes: readonly string[]
}

/** Collects what an adapter would do at the edges of the program, with secrets taken out as it comes in. */
export class Recorder {
  readonly mask: Mask
  readonly offline: boolean
  #steps: DryStep[] = []
  #notes = new Set<string>()

  constructor(mask: Mask, offline: boolean) {
    this.mask = mask
    this.offline = offline
  }

  /** What came in since the last time, and forgets it. */
  take(): Recorded {
    const recorded = { steps: this.#steps, notes: [...this.#notes] }
    this.#steps = []
    this.#notes = new Set()
    return recorded
  }

  /** Something that a reader of the steps must know; said once. */
  note(text: string): void {
    this.#notes.add(this.mask.text(text))
  }

  add(step: DryStep): void {
    this.#steps.push(step)
  }

  /** The two fields that every step has, for one that asks or one that changes. */
  mark(isRead: boolean): Step {
    return isRead ? { effect: 'read', sent: !this.offline } : { effect: 'write', sent: false }
  }
}
