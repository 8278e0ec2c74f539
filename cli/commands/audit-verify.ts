import { createReadStream } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import type { StateStore } from '../../baseline/store.ts'
import { CurfewError } from '../../core/errors.ts'
import { type AuditAnchor, type AuditVerdict, AuditVerifier } from '../audit-chain.ts'
import { AUDIT_LOG, headDocument, type StoredHead } from '../audit-log.ts'
import { auditAnchor } from '../audit-retention.ts'
import { openStore } from '../build-storage.ts'
import { type Io, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { cut } from '../config/problem.ts'

/** A verdict, and where retention has cut the log. */
interface Verified extends AuditVerdict {
  readonly anchor: AuditAnchor | null
}

const PAGE = 500
/** No entry comes near this; a longer line is none. */
const MAX_LINE = 65_536
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** `curfew audit verify`: 0 when the chain is whole, 1 when not. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  const [file] = args.positionals
  if ((path === undefined) === (file === undefined)) {
    throw new CurfewError(
      'USAGE',
      '`curfew audit verify` needs either --config FILE or the FILE of an export',
    )
  }
  const verdict = file === undefined ? await verifyStored(path!, io) : await verifyExported(file)
  io.stdout.write(verdictText(verdict))
  return verdict.problem === null ? 0 : 1
}

async function verifyStored(path: string, io: Io): Promise<Verified> {
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const store = await openStored(() => openStore(config, silent))
  try {
    const anchor = await auditAnchor(store)
    const verifier = new AuditVerifier(anchor)
    for (let after = anchor?.line ?? 0; ; ) {
      const lines = await store.readLines(AUDIT_LOG, after, PAGE)
      if (lines.length === 0 || !lines.every((line) => verifier.take(line))) break
      after = lines.at(-1)!.seq
    }
    return { ...(await withEnds(store, verifier.verdict())), anchor }
  } finally {
    await store.close()
  }
}

async function openStored(open: () => Promise<StateStore>): Promise<StateStore> {
  try {
    return await open()
  } catch (error) {
    if (!(error instanceof CurfewError) || error.code !== 'STORE_FENCED') throw error
    const advice = 'stop it, or verify an export: GET /v1/audit/export'
    throw new CurfewError('STORE_UNREACHABLE', `${error.message}; ${advice}`, { cause: error })
  }
}

/** Compares the ends of the chains with what the writers remember of them: a cut tail leaves no gap behind. */
async function withEnds(store: StateStore, verdict: AuditVerdict): Promise<AuditVerdict> {
  if (verdict.problem !== null) return verdict
  for (const [writer, head] of verdict.heads) {
    const document = await store.getDocument(headDocument(writer))
    if (document.version === 0) continue
    const remembered = JSON.parse(document.body) as StoredHead
    if (remembered.entry <= head.entry) continue
    const what = `entries ${head.entry + 1} to ${remembered.entry} of ${writer} are missing at the end`
    return { ...verdict, problem: { line: verdict.entries + 1, what } }
  }
  return verdict
}

async function verifyExported(path: string): Promise<Verified> {
  const verifier = new AuditVerifier()
  try {
    for await (const body of linesOf(path)) {
      if (!verifier.take({ seq: seqOf(body), body })) break
    }
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code
    if (why === undefined) throw cause
    throw new CurfewError('USAGE', `cannot read ${cut(path)} (${why})`, { cause })
  }
  return { ...verifier.verdict(), anchor: null }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const chunk of createReadStream(path)) {
    const lines = (rest + decoder.write(chunk as Buffer)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield line
    // Cut, so that a file without line ends does not fill memory; it fails as an entry either way.
    if (rest.length > MAX_LINE) rest = rest.slice(0, MAX_LINE)
  }
  if (rest.trim() !== '') yield rest
}

/** Number of the line in the log, as exports carry it. */
function seqOf(body: string): number | null {
  try {
    const { seq } = JSON.parse(body) as { readonly seq?: unknown }
    return Number.isSafeInteger(seq) ? (seq as number) : null
  } catch {
    return null
  }
}

function verdictText({ entries, heads, firstSeq, problem, anchor }: Verified): string {
  const checked = entries === 1 ? '1 entry' : `${entries} entries`
  if (problem !== null)
    return `line ${problem.line}: ${cut(problem.what)}\n${checked} before it hold together; nothing from there on is certain\n`
  const chains = [...heads]
    .map(([writer, head]) => `${cut(writer)}: ends at entry ${head.entry} with ${head.hash}\n`)
    .join('')
  const part =
    anchor !== null
      ? `; lines up to ${anchor.line} were cut by retention, and the rest follows from the anchor of that cut`
      : firstSeq > 1
        ? `; the log before line ${firstSeq} was not given`
        : ''
  return `the audit log is whole: ${checked}${part}\n${chains}`
}
