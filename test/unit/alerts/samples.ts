import type { AlertMessage, DecisionStatus } from '../../../alerts/sink.ts'
import type { Decision } from '../../../core/decision.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import type { Reason } from '../../../core/opinion.ts'

/** Names and routes as an attacker would choose them. */
export const HOSTILE_TEXTS: readonly string[] = [
  '<!channel>',
  '<@U012AB3CD> <#C012AB3CD> @here',
  '<http://x.example|Approve>',
  'http://evil.example/approve',
  '\u001b[31mred\u001b]8;;http://x\u0007',
  'user\u202Egpj.exe\u2066',
  'zero\u200Bwidth\u{E0041}tag',
  "=cmd|'/c calc'!A1",
  '<script>alert(1)</script>',
  'line one\nline two\r\u2028three',
  '*bold* _it_ `code` ~s~ :smile: > quote',
  '\uD800 lone',
  'a'.repeat(10_000),
  '<&>'.repeat(4_000),
  `e${'\u0301'.repeat(300)}`,
  '\u0000',
]

/** The incident that most tests are about. */
export function alertRecord(changes: Partial<AlertRecord> = {}): AlertRecord {
  return {
    id: 'al_0001',
    incident: 'inc_0001',
    time: '2026-11-23T03:04:10.000Z',
    tenant: 'default',
    transition: 'opened',
    entity: { type: 'principal', id: 'consumer:orders-svc' },
    detectors: ['volume'],
    severity: 'high',
    score: 0.9999,
    surprise: 9.2,
    summary: 'Reads far more records than usual.',
    reasons: [reason()],
    owasp: ['API4:2023'],
    firstEventTime: '2026-11-23T03:00:12.000Z',
    lastEventTime: '2026-11-23T03:04:10.000Z',
    events: 57,
    ...changes,
  }
}

export function reason(changes: Partial<Reason> = {}): Reason {
  return {
    detector: 'volume',
    feature: 'records/10m',
    observed: 1250,
    expected: 40.3,
    range: [2, 120],
    unit: 'records',
    surprise: 9.2,
    weight: 0.624,
    comparedWith: 'own history',
    ...changes,
  }
}

export function decision(changes: Partial<Decision> = {}): Decision {
  const principal = { kind: 'consumer', id: '7f', label: 'orders-svc', verified: true } as const
  return {
    id: 'dec_0001',
    time: '2026-11-23T03:04:10.000Z',
    tenant: 'default',
    entity: { type: 'principal', id: 'consumer:orders-svc' },
    action: 'throttle',
    scope: { kind: 'principal', principal },
    mode: 'enforce',
    holdSeconds: 3600,
    limit: { requests: 1, windowSeconds: 10 },
    incident: 'inc_0001',
    reason: 'records',
    principal,
    gateway: { kind: 'kong', id: 'edge' },
    tokenExp: null,
    evidenceAt: 0,
    ...changes,
  }
}

export function decisionStatus(changes: Partial<DecisionStatus> = {}): DecisionStatus {
  return { decision: decision(), status: 'in-force', until: '2026-11-23T04:04:11.000Z', ...changes }
}

export function alertMessage(changes: Partial<AlertMessage> = {}): AlertMessage {
  const alert = changes.alert ?? alertRecord()
  return {
    id: alert.id,
    alert,
    decisions: [decisionStatus()],
    incidentUrl: 'https://admin.example/incidents/inc_0001',
    undo: 'curfew release dec_0001',
    ...changes,
  }
}

/** An alert in which everything that can come from a log is `text`. */
export function hostileMessage(text: string): AlertMessage {
  const alert = alertRecord({
    tenant: text,
    entity: { type: 'principal', id: `consumer:${text}` },
    summary: `Calls ${text} too often.`,
    reasons: [reason({ feature: `route ${text}/10m`, unit: text, comparedWith: text, detector: text })],
    owasp: [text],
  })
  const hostile = decision({ entity: alert.entity, reason: text })
  return alertMessage({
    alert,
    decisions: [{ decision: hostile, status: text, until: text }],
    undo: `release ${text}`,
  })
}
