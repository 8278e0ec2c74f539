import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { isoTime } from '../core/time.ts'
import { decisionIdOf } from '../enforcement/aliases.ts'
import { approvalOf } from '../enforcement/enforcer-judgement.ts'
import { proofOf } from '../enforcement/hold-proof.ts'
import type { LedgerEntry } from '../enforcement/ledger.ts'
import type { DecisionView, IncidentView } from '../engine/control-plane.ts'
import { adminClient } from './admin-client.ts'
import { DECISIONS_MAP } from './build-enforcement.ts'
import { openStore } from './build-storage.ts'
import type { Config } from './config/schema.ts'
import { eventPartitions } from './event-partitions.ts'
import { incidentView } from './incident-view.ts'
import { FIRST_SHARED_PARTITION } from './shared-map.ts'
import { findIncident } from './stored-incidents.ts'

/** Where incidents and decisions are looked up. Null = there is no such thing. */
export interface Evidence {
  incident(id: string): Promise<IncidentView | null>
  decision(id: string): Promise<DecisionView | null>
  close(): Promise<void>
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
const REQUEST_MS = 10_000
const utf8 = new TextDecoder()

/**
 * The evidence of an installation: read from its store, or, where a running Curfew has a local store to
 * itself, asked of that one through its admin API. Throws `STORE_UNREACHABLE` when neither is possible.
 */
export async function openEvidence(config: Config, fetcher: typeof fetch = fetch): Promise<Evidence> {
  try {
    return storedEvidence(await openStore(config, silent))
  } catch (error) {
    if (!(error instanceof CurfewError) || error.code !== 'STORE_FENCED') throw error
    return askedEvidence(config, fetcher)
  }
}

function storedEvidence(store: StateStore): Evidence {
  return {
    incident: async (id) => {
      const found = await findIncident(store, await eventPartitions(store), id)
      if (found === null) return null
      const decisions: DecisionView[] = []
      for await (const [, bytes] of store.scan(FIRST_SHARED_PARTITION + DECISIONS_MAP, '')) {
        const view = decisionView(bytes)
        if (view.decision.incident === id) decisions.push(view)
      }
      return incidentView(found.incident, decisions)
    },
    decision: async (asked) => {
      const id = decisionIdOf(asked)
      if (!/^dec_[0-9a-f]{20}$/.test(id)) return null
      const [bytes] = await store.read(FIRST_SHARED_PARTITION + DECISIONS_MAP, [id])
      return bytes === undefined ? null : decisionView(bytes)
    },
    close: () => store.close(),
  }
}

/** A decision as it was last saved; when it takes effect, and how it stands under which name, is known to the enforcer only. */
function decisionView(bytes: Uint8Array): DecisionView {
  const entry = JSON.parse(utf8.decode(bytes)) as LedgerEntry
  const { decision, status, statusReason, issuedAt, until, receipts } = entry
  return {
    decision,
    status,
    statusReason,
    issuedAt: issuedAt === null ? null : isoTime(issuedAt),
    until: until === null ? null : isoTime(until),
    aliases: [],
    effectiveBy: null,
    approval: approvalOf(entry),
    proof: proofOf(entry),
    receipts,
  }
}

function askedEvidence(config: Config, fetcher: typeof fetch): Evidence {
  const client = adminClient(config, () => true, REQUEST_MS, fetcher)
  const ask = async (path: string): Promise<unknown> => {
    const { status, body } = await client(path)
    if (status === 404) return null
    if (status === 200) return body
    throw new CurfewError('STORE_UNREACHABLE', `the admin API answers ${status}`)
  }
  return {
    incident: async (id) => (await ask(`/v1/incidents/${encodeURIComponent(id)}`)) as IncidentView | null,
    decision: async (id) => (await ask(`/v1/decisions/${encodeURIComponent(id)}`)) as DecisionView | null,
    close: async () => undefined,
  }
}
