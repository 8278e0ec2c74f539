import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type AuditLine,
  type ChainHead,
  EMPTY_CHAIN,
  nextEntry,
  verifyAudit,
} from '../../../cli/audit-chain.ts'

const change = fc.record({
  actor: fc.string(),
  action: fc.string(),
  target: fc.string(),
  reason: fc.string(),
})
const steps = fc.array(fc.tuple(fc.constantFrom('admin', 'panic', 'worker'), change), {
  minLength: 2,
  maxLength: 20,
})

/** The log that writers make who take turns as given. */
function logOf(turns: readonly (readonly [string, Parameters<typeof nextEntry>[3]])[]): AuditLine[] {
  const heads = new Map<string, ChainHead>()
  return turns.map(([writer, made], i) => {
    const entry = nextEntry(heads.get(writer) ?? EMPTY_CHAIN, writer, '2026-11-23T03:04:00.000Z', made)
    heads.set(writer, entry)
    return { seq: i + 1, body: JSON.stringify(entry) }
  })
}

const renumbered = (lines: readonly AuditLine[]) => lines.map(({ body }, i) => ({ seq: i + 1, body }))
const writerOf = ({ body }: AuditLine) => (JSON.parse(body) as { writer: string }).writer

describe('audit chain', () => {
  it('is whole as it was written, whatever the text', () => {
    fc.assert(
      fc.property(steps, (turns) => {
        expect(verifyAudit(logOf(turns))).toMatchObject({ entries: turns.length, problem: null })
      }),
    )
  })

  it('shows every changed field', () => {
    const field = fc.constantFrom(
      'actor',
      'action',
      'target',
      'reason',
      'time',
      'previousHash',
      'hash',
      'writer',
    )
    fc.assert(
      fc.property(steps, fc.nat(), field, (turns, at, name) => {
        const lines = logOf(turns)
        const i = at % lines.length
        const entry = JSON.parse(lines[i]!.body) as Record<string, string>
        const body = JSON.stringify({ ...entry, [name]: `${entry[name]}x` })
        expect(verifyAudit(lines.with(i, { seq: i + 1, body })).problem?.line).toBe(i + 1)
      }),
    )
  })

  it('shows a line that was taken out, unless it was the last of its writer', () => {
    fc.assert(
      fc.property(steps, fc.nat(), (turns, at) => {
        const lines = logOf(turns)
        const i = at % lines.length
        const rest = lines.toSpliced(i, 1)
        const isLast = lines.findLastIndex((line) => writerOf(line) === writerOf(lines[i]!)) === i
        expect(verifyAudit(renumbered(rest)).problem === null).toBe(isLast)
      }),
    )
  })

  it('shows two lines of one writer that changed places', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), (turns, a, b) => {
        const lines = logOf(turns)
        const [i, j] = [a % lines.length, b % lines.length]
        fc.pre(i !== j && writerOf(lines[i]!) === writerOf(lines[j]!))
        const swapped = lines.with(i, lines[j]!).with(j, lines[i]!)
        expect(verifyAudit(renumbered(swapped)).problem).not.toBeNull()
      }),
    )
  })
})
