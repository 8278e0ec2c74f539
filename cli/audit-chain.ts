import { hashOf } from '../core/hash.ts'

/** What somebody did, before it is put on record. */
export interface AuditedChange {
  readonly actor: string
  /** What was asked for, such as `decision.release`. */
  readonly action: string
  /** What it was about, such as a decision's id. */
  readonly target: string
  readonly reason: string
}

/** One link of a writer's chain, as it is stored. */
export interface AuditEntry extends AuditedChange {
  /** ISO 8601. */
  readonly time: string
  /** The process role that wrote it; each writer has a chain of its own. */
  readonly writer: string
  /** Number of the entry in its writer's chain, from 1. */
  readonly entry: number
  /** `hash` of the writer's entry before; empty for the first. */
  readonly previousHash: string
  /** SHA-256 over `previousHash` and everything else in the entry. */
  readonly hash: string
}

/** Where a writer's chain ends. */
export interface ChainHead {
  readonly entry: number
  readonly hash: string
}

/** What a chain starts from. */
export const EMPTY_CHAIN: ChainHead = { entry: 0, hash: '' }

/** Longest text of each field of an entry, in characters. */
const MAX_FIELD = { actor: 128, action: 64, target: 256, reason: 1_000 } as const
/** Writers that a log may have; more are reported, not remembered. */
const MAX_WRITERS = 1_000
/** Invisible and direction-changing characters: they could make an entry read differently from what it says. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu

/**
 * The next link after `head`. Hostile text is cut and made printable, so that the record shows what it holds. `seal`
 * says what is stored, and hashed, in place of the reason.
 */
export function nextEntry(
  head: ChainHead,
  writer: string,
  time: string,
  change: AuditedChange,
  seal: (reason: string) => string = (reason) => reason,
): AuditEntry {
  const content = {
    time,
    writer,
    entry: head.entry + 1,
    actor: plain(change.actor, MAX_FIELD.actor),
    action: plain(change.action, MAX_FIELD.action),
    target: plain(change.target, MAX_FIELD.target),
    reason: seal(plain(change.reason, MAX_FIELD.reason)),
    previousHash: head.hash,
  }
  return { ...content, hash: hashOfEntry(content) }
}

function plain(text: string, limit: number): string {
  const cut = text.length > limit ? `${text.slice(0, limit - 1)}…` : text
  return cut.replace(UNPRINTABLE, '\ufffd')
}

/** SHA-256, lower-case hex, over the JSON array of the fields in this order. */
export function hashOfEntry(entry: Omit<AuditEntry, 'hash'>): string {
  const { previousHash, writer, time, actor, action, target, reason } = entry
  return hashOf(previousHash, writer, entry.entry, time, actor, action, target, reason)
}

/** Reads a stored or exported line; null when it is no audit entry. */
export function parseEntry(body: string): AuditEntry | null {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const fields = value as Readonly<Record<string, unknown>>
  const texts = ['time', 'writer', 'actor', 'action', 'target', 'reason', 'previousHash', 'hash']
  if (texts.some((name) => typeof fields[name] !== 'string')) return null
  return Number.isSafeInteger(fields.entry) ? (value as AuditEntry) : null
}

/** A line of the log with its number, from 1, or null where the lines carry none. */
export interface AuditLine {
  readonly seq: number | null
  readonly body: string
}

/** Where a log was cut on purpose, and how the chains stood there. */
export interface AuditAnchor {
  /** Number of the last line that was cut. */
  readonly line: number
  readonly heads: ReadonlyMap<string, ChainHead>
}

/** What a check of the log found. */
export interface AuditVerdict {
  readonly entries: number
  /** The end of each writer's chain. */
  readonly heads: ReadonlyMap<string, ChainHead>
  /** Number of the first line; above 1 the check covers only the rest of the log. */
  readonly firstSeq: number
  /** The first thing that is wrong, or null. */
  readonly problem: { readonly line: number; readonly what: string } | null
}

/**
 * Checks a log line by line, so that its length does not matter: feed the lines in order, then ask for the
 * verdict. Nothing behind the first problem is trusted.
 */
export class AuditVerifier {
  private readonly heads: Map<string, ChainHead>
  private readonly anchored: boolean
  private entries = 0
  private firstSeq = 1
  private lastSeq: number | null
  private problem: AuditVerdict['problem'] = null

  /** With an anchor the first line has to follow from it; lines before it are not to be given. */
  constructor(anchor: AuditAnchor | null = null) {
    this.anchored = anchor !== null
    this.heads = new Map(anchor?.heads)
    this.lastSeq = anchor?.line ?? null
  }

  /** Returns false from the first problem on. */
  take(line: AuditLine): boolean {
    if (this.problem !== null) return false
    const what = this.fault(line)
    if (what !== null) this.problem = { line: line.seq ?? this.entries + 1, what }
    return what === null
  }

  verdict(): AuditVerdict {
    const { entries, heads, firstSeq, problem } = this
    return { entries, heads, firstSeq, problem }
  }

  private fault({ seq, body }: AuditLine): string | null {
    if (this.entries === 0) this.firstSeq = seq ?? 1
    if (seq !== null && this.lastSeq !== null && seq !== this.lastSeq + 1) {
      return seq > this.lastSeq
        ? `lines ${this.lastSeq + 1} to ${seq - 1} are missing`
        : `line ${seq} stands behind line ${this.lastSeq}`
    }
    this.lastSeq = seq
    const entry = parseEntry(body)
    if (entry === null) return 'this is no audit entry'
    const { hash, ...content } = entry
    if (hashOfEntry(content) !== hash)
      return `entry ${entry.entry} of ${entry.writer} was changed: its hash differs`
    const broken = this.linkFault(entry)
    if (broken !== null) return broken
    this.heads.set(entry.writer, { entry: entry.entry, hash })
    this.entries++
    return null
  }

  private linkFault(entry: AuditEntry): string | null {
    const head = this.heads.get(entry.writer)
    const name = `entry ${entry.entry} of ${entry.writer}`
    if (head === undefined) {
      if (this.heads.size >= MAX_WRITERS) return `more than ${MAX_WRITERS} writers`
      const begins = entry.entry === 1 && entry.previousHash === ''
      // A log that is read from its middle on has no first entry to start from.
      return begins || (this.firstSeq > 1 && !this.anchored)
        ? null
        : `${name} has no beginning: entries before it are missing`
    }
    if (entry.entry > head.entry + 1)
      return `entries ${head.entry + 1} to ${entry.entry - 1} of ${entry.writer} are missing`
    if (entry.entry <= head.entry)
      return `${name} stands behind entry ${head.entry}: the order was changed or an entry repeated`
    return entry.previousHash === head.hash
      ? null
      : `${name} does not follow from entry ${head.entry}: the link differs`
  }
}

/** Checks lines that are all at hand; see {@link AuditVerifier}. */
export function verifyAudit(lines: Iterable<AuditLine>): AuditVerdict {
  const verifier = new AuditVerifier()
  for (const line of lines) if (!verifier.take(line)) break
  return verifier.verdict()
}
