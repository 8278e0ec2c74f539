import type { StateStore } from '../baseline/store.ts'
import { AuditSubjects } from './audit-subjects.ts'
import { SUBJECTS_MAP } from './build-enforcement.ts'
import type { Config } from './config/schema.ts'
import { Forgetting, type ForgettingOptions } from './forgetting.ts'
import { identityKeyOf } from './identity-key.ts'
import { SharedMap } from './shared-map.ts'

/** The principals of the audit, and the forgetting of some. */
export interface Subjects {
  readonly keys: AuditSubjects
  forgetting(options: Omit<ForgettingOptions, 'map' | 'subjects' | 'identityKey' | 'store'>): Forgetting
  close(): Promise<void>
}

/** Takes them over from an earlier process. */
export async function openSubjects(config: Config, store: StateStore, stop: AbortSignal): Promise<Subjects> {
  const map = await SharedMap.open(store, SUBJECTS_MAP, stop)
  const identityKey = identityKeyOf(config)
  const keys = new AuditSubjects(map, identityKey)
  return {
    keys,
    forgetting: (options) => new Forgetting({ ...options, store, map, subjects: keys, identityKey }),
    close: () => map.close(),
  }
}
