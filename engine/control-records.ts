import type { ControlRecord } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { bodyOf } from './control-list.ts'
import { type ForgetEffect, forgetPrincipal, type StoredNames } from './forgetting.ts'
import { approved, extended, released } from './hold-changes.ts'
import { type MergedKnowledge, sumsIn } from './merged-knowledge.ts'
import type { Partition } from './partition.ts'
import { completed, type EngineSettings } from './settings.ts'

/** Everything but events that can change a verdict. */
export type ControlEffect =
  | { readonly kind: 'tick'; readonly time: number }
  | { readonly kind: 'settings'; readonly settings: EngineSettings }
  | { readonly kind: 'close-incident'; readonly incident: string; readonly verdict: 'accept' | 'dismiss' }
  | { readonly kind: 'decision-released'; readonly incident: string; readonly decision: string }
  | {
      readonly kind: 'decision-extended'
      readonly incident: string
      readonly decision: string
      /** When the hold ends now, epoch ms. */
      readonly until: number
    }
  | {
      readonly kind: 'decision-approved'
      readonly incident: string
      readonly decision: string
      /** When the hold ends, epoch ms. */
      readonly until: number
    }
  | ForgetEffect
  | KnowledgeEffect

/** A version of what is known about the callers of all partitions comes into force. */
export type KnowledgeEffect = { readonly kind: 'knowledge' } & MergedKnowledge

/** The body of a request or control record. */
export function encodeEffect(effect: ControlEffect): string {
  return JSON.stringify(effect)
}

/**
 * Applies a control record; an effect on something that is gone changes nothing. One of a later release throws
 * `STORE_NEWER_LAYOUT`: going on without it would give other verdicts.
 */
export function applyControl(partition: Partition, record: ControlRecord, names: StoredNames): void {
  const effect = JSON.parse(bodyOf(record).body) as ControlEffect
  switch (effect.kind) {
    case 'tick':
      partition.tick(effect.time)
      return
    case 'settings':
      partition.configure(completed(effect.settings))
      return
    case 'close-incident':
      partition.close(effect.incident, effect.verdict)
      return
    case 'decision-released':
      released(partition, effect.incident, effect.decision)
      return
    case 'decision-extended':
      extended(partition, effect.incident, effect.decision, effect.until)
      return
    case 'decision-approved':
      approved(partition, effect.incident, effect.decision, effect.until)
      return
    case 'forget':
      forgetPrincipal(partition, effect, names)
      return
    case 'knowledge':
      takeKnowledge(partition, effect, record.seq)
      return
    default:
      throw new CurfewError(
        'STORE_NEWER_LAYOUT',
        `control record ${record.seq} is of the kind ${record.kind}, which this release does not know`,
      )
  }
}

function takeKnowledge(partition: Partition, effect: KnowledgeEffect, seq: number): void {
  const sums = sumsIn(effect)
  if (sums === null) {
    throw new CurfewError(
      'STORE_NEWER_LAYOUT',
      `control record ${seq} holds knowledge that this release cannot read`,
    )
  }
  const { version, cutAt, hash } = effect
  if (partition[effect.population].knowledge.take({ version, cutAt, hash }, sums)) partition.refresh()
}
