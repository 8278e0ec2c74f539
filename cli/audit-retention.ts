import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { hashOf } from '../core/hash.ts'
import { isoTime } from '../core/time.ts'
import { type AuditAnchor, AuditVerifier, parseEntry } from './audit-chain.ts'
import { AUDIT_LOG, type AuditLog } from './audit-log.ts'

/** The document that says where the log was cut and how the chains stood there. */
const ANCHOR_DOCUMENT = 'audit-anchor'
const PAGE = 500

/** The anchor as it is stored. */
interface StoredAnchor {
  /** The last line that was cut. */
  readonly line: number
  readonly heads: readonly (readonly [writer: string, entry: number, hash: string])[]
}

/** Where the log begins: behind an earlier cut, or null when nothing was ever cut. */
export async function auditAnchor(store: StateStore): Promise<AuditAnchor | null> {
  const { version, body } = await store.getDocument(ANCHOR_DOCUMENT)
  if (version === 0) return null
  const { line, heads } = JSON.parse(body) as StoredAnchor
  return { line, heads: new Map(heads.map(([writer, entry, hash]) => [writer, { entry, hash }])) }
}

/**
 * Cuts the entries before an instant (epoch ms) off the log and returns how many lines went. What is cut is
 * verified first; the ends of its chains become the anchor that the rest is verified from, and an entry of the
 * log holds the anchor's hash. The anchor is durable before anything goes, so a crash in between leaves lines
 * that the next cut removes. Throws `STORE_CORRUPT` and cuts nothing when the old entries do not hold together.
 */
export async function cutAudit(store: StateStore, audit: AuditLog, before: number): Promise<number> {
  const { version } = await store.getDocument(ANCHOR_DOCUMENT)
  const anchor = await auditAnchor(store)
  if (anchor !== null) await store.trimLines(AUDIT_LOG, anchor.line)
  const verifier = new AuditVerifier(anchor)
  const start = anchor?.line ?? 0
  const end = await lastBefore(store, verifier, start, isoTime(before))
  if (end === start) return 0
  const { heads, problem } = verifier.verdict()
  if (problem !== null) {
    throw new CurfewError(
      'STORE_CORRUPT',
      `audit log, line ${problem.line}: ${problem.what}; nothing was cut`,
    )
  }
  const stored: StoredAnchor = {
    line: end,
    heads: [...heads].map(([writer, head]) => [writer, head.entry, head.hash] as const),
  }
  const body = JSON.stringify(stored)
  await audit.append({
    actor: 'curfew',
    action: 'audit.cut',
    target: `lines ${start + 1} to ${end}`,
    reason: `retention: older than ${isoTime(before)}; SHA-256 of the anchor ${hashOf(body)}`,
  })
  if ((await store.putDocument(ANCHOR_DOCUMENT, version, body)) === null) return 0
  await store.trimLines(AUDIT_LOG, end)
  return end - start
}

/** Feeds the verifier every line before the instant and returns the number of the last; never the log's last line. */
async function lastBefore(
  store: StateStore,
  verifier: AuditVerifier,
  start: number,
  before: string,
): Promise<number> {
  let end = start
  for (let after = start; ; ) {
    const lines = await store.readLines(AUDIT_LOG, after, PAGE)
    for (const line of lines) {
      const entry = parseEntry(line.body)
      const isYoung = entry !== null && entry.time >= before
      const isLast = lines.length < PAGE && line === lines.at(-1)
      if (isYoung || isLast || !verifier.take(line)) return end
      end = line.seq
    }
    if (lines.length < PAGE) return end
    after = end
  }
}
