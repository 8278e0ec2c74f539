import type { Decision, Entity, Limit, OnTimeout } from '../core/decision.ts'
import { type AlertRecord, isNotice } from '../core/incident.ts'
import type { Reason } from '../core/opinion.ts'
import { inert } from './log-text.ts'
import { counted, durationText, featureParts, numberText, quantityText, timeText } from './quantity.ts'
import type { AlertDigest, AlertMessage, DecisionStatus } from './sink.ts'

/** A piece of a sentence: our own words, or text that came from a log (already inert). */
export interface Span {
  readonly text: string
  readonly from: 'us' | 'log'
}

export type Line = readonly Span[]

/** A message in plain words, not yet in the form of any channel. */
export interface MessageText {
  readonly title: Line
  /** What happened, the most unusual first. */
  readonly facts: readonly Line[]
  readonly why: readonly Line[]
  readonly done: readonly Line[]
  readonly undo: Line
  /** Address of the incident's page, or null. */
  readonly link: string | null
  readonly footer: Line
}

/** A storm in plain words. */
export interface DigestText {
  readonly title: Line
  readonly entries: readonly Line[]
  /** What the entries leave out; null when nothing. */
  readonly rest: string | null
  readonly footer: Line
}

const MAX_REASONS = 3
const MAX_DECISIONS = 5
const MAX_ALIASES = 5
const MAX_SUMMARY_LENGTH = 500
const MAX_ID_LENGTH = 64

const us = (text: string): Span => ({ text, from: 'us' })
const log = (text: string, max?: number): Span => ({ text: inert(text, max), from: 'log' })

/** The line as one string without any markup. */
export function plainLine(line: Line): string {
  return line.map((span) => span.text).join('')
}

const ENTITY_WORDS: Readonly<Record<Entity['type'], string>> = {
  principal: 'caller',
  ip: 'address',
  route: 'route',
  org: 'organisation',
  app: 'application',
  tenant: 'tenant',
  source: 'source',
  engine: 'engine',
}

/** Says who did what, how unusual it is, why, what was done until when, and how to undo it. */
export function messageText(message: AlertMessage): MessageText {
  const { alert } = message
  const reasons = strongest(alert.reasons)
  const top = reasons[0]
  const facts: Line[] = []
  if (top !== undefined) facts.push(observation(top))
  if (alert.summary !== '') facts.push([log(alert.summary, MAX_SUMMARY_LENGTH)])
  facts.push(period(alert))
  return {
    title: title(alert),
    facts,
    why: reasons.map(explanation),
    done: doneLines(message.decisions),
    undo: message.undo === '' ? [us('Nothing to undo.')] : [us('To undo: '), log(message.undo)],
    link: webAddress(message.incidentUrl),
    footer: footer(alert, message.id),
  }
}

/** Lists the first `maxEntries` alerts, the most severe first, and counts the rest. */
export function digestText(digest: AlertDigest, maxEntries: number): DigestText {
  const rank = { critical: 0, high: 1, medium: 2, low: 3 } as const
  const sorted = digest.alerts.toSorted((a, b) => rank[a.severity] - rank[b.severity])
  const shown = sorted.slice(0, maxEntries)
  const total = digest.alerts.length + digest.omitted
  const left = total - shown.length
  const omitted = digest.omitted > 0 ? `, ${numberText(digest.omitted)} of them only counted` : ''
  return {
    title: [us(`${counted(total, 'alert')} in one message`)],
    entries: shown.map((alert) => [...title(alert), us(' ('), log(alert.incident, MAX_ID_LENGTH), us(')')]),
    rest: left > 0 ? `and ${numberText(left)} more${omitted}.` : null,
    footer: [us('Digest '), log(digest.id, MAX_ID_LENGTH)],
  }
}

function strongest(reasons: readonly Reason[]): readonly Reason[] {
  return reasons.toSorted((a, b) => b.weight - a.weight || b.surprise - a.surprise).slice(0, MAX_REASONS)
}

/** Whether the incident is about what Curfew does not see, rather than about somebody's calls. */
function isCoverage({ entity }: AlertRecord): boolean {
  return entity.type === 'source' || entity.type === 'engine'
}

function title(alert: AlertRecord): Line {
  const who = [us(`${ENTITY_WORDS[alert.entity.type]} `), log(alert.entity.id)]
  const severity = alert.severity[0]?.toUpperCase() + alert.severity.slice(1)
  if (isNotice(alert)) return [us(`${severity}: Curfew needs attention`)]
  switch (alert.transition) {
    case 'opened':
      if (alert.entity.type === 'engine') return [us(`${severity}: Curfew itself was not judging calls`)]
      return [
        us(`${severity}: `),
        ...who,
        us(isCoverage(alert) ? ' is not seen completely' : ' stopped behaving like itself'),
      ]
    case 'escalated':
      return [us(`${severity}, ${alert.reminder ? 'still going on' : 'getting worse'}: `), ...who]
    case 'resolved':
      return [us('Over: '), ...who]
  }
}

function period(alert: AlertRecord): Line {
  if (isNotice(alert)) return [us(`At ${timeText(alert.time) ?? 'an unknown time'}.`)]
  const from = timeText(alert.firstEventTime)
  const to = timeText(alert.lastEventTime)
  const when = from === null || to === null ? '' : from === to ? `At ${from}: ` : `From ${from} to ${to}: `
  const calls = isCoverage(alert) ? '' : `${counted(alert.events, 'surprising call')}. `
  return [us(`${when}${calls}Tenant `), log(alert.tenant), us('.')]
}

/** What is new to a caller has no size: what is told is how often it does so. */
const SHARE_OF_CALLS = 'share of calls'

function shareText(share: number): string {
  return share < 0.01 ? 'less than 1 %' : `${Math.round(share * 100)} %`
}

/** `1,250 records in 10 minutes; usually 40, 99 % of the time below 120` */
function observation(reason: Reason): Line {
  const { name, window } = featureParts(reason.feature)
  const words = name.replace(/[-_]/g, ' ')
  if (reason.unit === SHARE_OF_CALLS)
    return [log(words), us('; usually in '), log(shareText(reason.expected)), us(' of its calls')]
  const spans: Span[] = words === reason.unit ? [] : [log(words), us(': ')]
  spans.push(log(quantityText(reason.observed, reason.unit)))
  const usual = quantityText(reason.expected, words === reason.unit && !isScaled(words) ? '' : reason.unit)
  spans.push(us(`${window === null ? '' : ` ${window}`}; usually `), log(usual), us(usualRange(reason)))
  return spans
}

function usualRange({ observed, range: [low, high], unit }: Reason): string {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return ''
  const text = (value: number): string => inert(quantityText(value, isScaled(unit) ? unit : ''))
  const share = ', 99 % of the time '
  if (observed > high) return `${share}below ${text(high)}`
  if (observed < low) return `${share}above ${text(low)}`
  return `${share}between ${text(low)} and ${text(high)}`
}

/** Whether the unit changes how the number is written, so that leaving it out would mislead. */
function isScaled(unit: string): boolean {
  return quantityText(1234, unit) !== `1,234 ${unit}`
}

function explanation(reason: Reason): Line {
  const share = Math.round(Math.min(1, Math.max(0, reason.weight)) * 100)
  const against = reason.comparedWith === '' ? [] : [us('; compared with '), log(reason.comparedWith)]
  return [
    ...observation(reason),
    ...against,
    us(`; ${share} % of the surprise (`),
    log(reason.detector),
    us(')'),
  ]
}

function doneLines(decisions: readonly DecisionStatus[]): readonly Line[] {
  if (decisions.length === 0) return [[us('Nothing was done.')]]
  const lines = decisions.slice(0, MAX_DECISIONS).map(doneLine)
  const left = decisions.length - lines.length
  return left > 0 ? [...lines, [us(`and ${counted(left, 'more decision')}.`)]] : lines
}

function doneLine({ decision, status, until, approval, proof, aliases = [] }: DecisionStatus): Line {
  const end = until === null ? null : timeText(until)
  const hold = end === null ? `for ${durationText(decision.holdSeconds)}` : `until ${end}`
  return [
    us(`${actionWords(decision)} `),
    log(decision.entity.id),
    ...limitWords(decision),
    ...placeWords(decision),
    ...statusWords(status, hold),
    ...becauseWords(status, decision),
    ...approvalWords(status, approval ?? null),
    ...proofWords(status, proof ?? null),
    ...aliasWords(aliases),
  ]
}

const ALIAS_WORDS = {
  held: '; also held at ',
  failed: '; not held at ',
  unsupported: '; cannot be held at ',
  pending: '; on its way to ',
} as const

/** Where the caller has another name: that it is held under that name, too, or is not. */
function aliasWords(aliases: NonNullable<DecisionStatus['aliases']>): Line {
  const shown = aliases.slice(0, MAX_ALIASES)
  const left = aliases.length - shown.length
  return [
    ...shown.flatMap(({ gateway, principal, state }) => [
      us(ALIAS_WORDS[state]),
      log(gateway, MAX_ID_LENGTH),
      us(' as '),
      log(principal),
    ]),
    ...(left > 0 ? [us(`; and ${counted(left, 'more name')}`)] : []),
  ]
}

function actionWords(decision: Decision): string {
  switch (decision.action) {
    case 'throttle':
      return 'Throttle'
    case 'block':
      return 'Block'
    case 'revoke-token':
      return 'Revoke the token of'
    case 'revoke-credential':
      return 'Disable the credential of'
    case 'release':
      return 'Release'
  }
}

function limitWords({ action, limit }: Decision): Line {
  if (action !== 'throttle' || limit === null) return []
  return [us(limitText(limit))]
}

function limitText({ requests, windowSeconds }: Limit): string {
  return ` to ${counted(requests, 'request')} per ${durationText(windowSeconds)}`
}

/** Where only what comes from one network is meant, and what stands in for that at gateways that cannot tell networks. */
function placeWords({ scope, wider }: Decision): Line {
  if (scope.kind !== 'network') return []
  const place = [us(' in the network '), log(scope.network)]
  if (wider === undefined) return place
  const limit = wider.limit === null ? '' : limitText(wider.limit)
  return [...place, us(` (where networks cannot be told apart: ${wider.action} the caller${limit})`)]
}

function statusWords(status: string, hold: string): Line {
  switch (status) {
    case 'observed':
      return [us(': observed only, nothing was changed')]
    case 'awaiting-approval':
      return [us(`: waits for a person to approve it, would hold ${hold}`)]
    case 'withheld':
      return [us(': withheld by a safety rule, nothing was changed')]
    case 'pending':
      return [us(`: being put in force ${hold}`)]
    case 'in-force':
      return [us(`: in force ${hold}`)]
    case 'failed':
      return [us(': failed at a gateway')]
    case 'expired':
      return [us(': expired')]
    case 'released':
      return [us(': lifted')]
    case 'superseded':
      return [us(': replaced by another decision')]
    default:
      return [us(': '), log(status), us(` ${hold}`)]
  }
}

const ON_TIMEOUT: Readonly<Record<OnTimeout, string>> = {
  drop: 'it is dropped then',
  act: 'it is carried out then',
  extend: 'it is asked again then',
}

function approvalWords(status: string, approval: DecisionStatus['approval']): Line {
  if (status !== 'awaiting-approval' || approval == null) return []
  const by = timeText(approval.by)
  return by === null ? [] : [us(`; until ${by}, ${ON_TIMEOUT[approval.onTimeout]}`)]
}

function becauseWords(status: string, { approval }: Decision): Line {
  if (status !== 'awaiting-approval' || approval?.because == null) return []
  return [us('; '), log(approval.because)]
}

/** Whether the traffic shows that what stands does hold. */
function proofWords(status: string, proof: DecisionStatus['proof']): Line {
  if (status !== 'in-force' && status !== 'failed') return []
  if (proof === 'held') return [us('; calls are being refused')]
  if (proof === 'leaking') return [us('; calls that it should refuse still get through')]
  return proof === 'untested' ? [us('; no call has tested it yet')] : []
}

function webAddress(url: string | null): string | null {
  if (url === null || url.length > 2000 || !URL.canParse(url)) return null
  const parsed = new URL(url)
  return parsed.protocol === 'https:' || parsed.protocol === 'http:' ? parsed.href : null
}

function footer(alert: AlertRecord, id: string): Line {
  const spans = [us('Incident '), log(alert.incident, MAX_ID_LENGTH), us(', alert '), log(id, MAX_ID_LENGTH)]
  if (alert.owasp.length > 0) spans.push(us(', OWASP '), log(alert.owasp.slice(0, 5).join(', '), 100))
  return spans
}
