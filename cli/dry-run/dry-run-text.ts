import type { DryStep } from '../../enforcement/dry-run/recorder.ts'
import { escaped } from '../config/problem.ts'
import type { AskedDecision } from './asked-decision.ts'
import type { DryResult } from './dry-run.ts'

const HEADINGS: Readonly<Record<DryResult['outcome'], string>> = {
  sends: 'would be sent',
  nothing: 'nothing would be sent',
  unsupported: 'cannot hold it',
  'left-out': 'is left out',
  failed: 'cannot be told',
}

/** What a dry run found, for a person. */
export function dryRunText(asked: AskedDecision, results: readonly DryResult[]): string {
  const { action } = asked.decision
  const head = `${action}: ${asked.who}\nNothing was changed: this is what would be sent.\n`
  return [head, ...results.map(resultText)].join('\n')
}

function resultText(result: DryResult): string {
  const { gateway, kind, outcome, detail, wider, capability, steps, notes } = result
  const lines = [`${gateway} (${kind}): ${HEADINGS[outcome]}${detail === null ? '' : `: ${escaped(detail)}`}`]
  if (wider !== null) lines.push(`  in a wider form: ${wider.action} of scope ${wider.scope.kind}`)
  if (capability !== null && outcome !== 'unsupported') {
    const { worstCaseDelayMs, refusesCalls, lasting } = capability
    const what = refusesCalls === false ? 'takes effect' : 'in force'
    lines.push(`  ${what} after ${worstCaseDelayMs / 1_000} s at the most`)
    if (lasting !== undefined) lines.push(`  cannot be undone: ${lasting}`)
  }
  for (const note of notes) lines.push(`  note: ${escaped(note)}`)
  for (const step of steps) lines.push(...stepLines(step).map((line) => `  ${escaped(line)}`))
  return lines.map((line) => `${line}\n`).join('')
}

function stepLines(step: DryStep): readonly string[] {
  const [first, ...more] = wordsOf(step)
  if (step.effect === 'read') return [`${step.sent ? 'asked ' : 'would ask '} ${first}`]
  return [`SEND  ${first}`, ...more.map((line) => `      ${line}`)]
}

function wordsOf(step: DryStep): readonly string[] {
  switch (step.kind) {
    case 'http': {
      const headers = Object.entries(step.headers).map(([name, value]) => `${name}: ${value}`)
      const claims =
        step.event === undefined
          ? []
          : [`header: ${JSON.stringify(step.event.header)}`, `claims: ${JSON.stringify(step.event.claims)}`]
      return [`${step.method} ${step.url}`, ...headers, ...(step.body === null ? [] : [step.body]), ...claims]
    }
    case 'aws':
      return [`${step.service} ${step.operation}`, JSON.stringify(step.input)]
    case 'haproxy':
      return [`${step.socket}: ${step.command}`]
    case 'redis':
      return [`${step.address}: ${step.words.map(quoted).join(' ')}`]
    case 'file':
      return step.text === null ? [`remove file ${step.path}`] : [`write file ${step.path}`, step.text]
    case 'entry':
      return step.text === null
        ? [`${step.store}: delete ${quoted(step.field)}`]
        : [`${step.store}: set ${quoted(step.field)}`, step.text]
  }
}

/** A word as a shell of Redis takes it. */
function quoted(word: string): string {
  return /^[A-Za-z0-9_./:{}@+-]+$/.test(word) ? word : JSON.stringify(word)
}

/** The same for a program, as one line: every control character is escaped as JSON does it. */
export function dryRunJson(asked: AskedDecision, offline: boolean, results: readonly DryResult[]): string {
  const { id, action, scope, limit, holdSeconds } = asked.decision
  const text = JSON.stringify({
    decision: { id, action, scope, limit, holdSeconds },
    offline,
    gateways: results,
  })
  const invisible = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Co}]/gu
  const unit = (code: number) => `\\u${code.toString(16).padStart(4, '0')}`
  const safe = text.replace(invisible, (c) =>
    Array.from({ length: c.length }, (_, i) => unit(c.charCodeAt(i))).join(''),
  )
  return `${safe}\n`
}
