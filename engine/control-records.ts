import type { ControlRecord } from '../baseline/store.ts'
import type { Partition } from './partition.ts'
import type { EngineSettings } from './settings.ts'

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

/** The body of a request or control record. */
export function encodeEffect(effect: ControlEffect): string {
  return JSON.stringify(effect)
}

/** Applies a control record; an effect on something that is gone changes nothing. */
export function applyControl(partition: Partition, record: ControlRecord): void {
  const outer = JSON.parse(record.body) as { request?: string; body?: string }
  const effect = JSON.parse(outer.body ?? record.body) as ControlEffect
  switch (effect.kind) {
    case 'tick':
      partition.tick(effect.time)
      return
    case 'settings':
      partition.configure(effect.settings)
      return
    case 'close-incident':
      partition.close(effect.incident, effect.verdict)
      return
    case 'decision-released':
      partition.released(effect.incident, effect.decision)
      return
    case 'decision-extended':
      partition.extended(effect.incident, effect.decision, effect.until)
      return
  }
}
