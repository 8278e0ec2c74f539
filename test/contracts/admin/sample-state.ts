import type { Decision } from '../../../core/decision.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { isoTime, wallTime } from '../../../core/time.ts'
import type { DecisionView, IncidentView, PrincipalView } from '../../../engine/control-plane.ts'
import { DEFAULT_SETTINGS, type SettingValues } from '../../../engine/settings.ts'
import type { Seed } from './memory-control-plane.ts'

/** 3:04 at night on Saturday 2026-01-31, UTC. */
export const NIGHT = Date.parse('2026-01-31T03:04:00.000Z')
export const nightClock = { now: () => wallTime(NIGHT) }

/** Thresholds that the tests count on, whatever the defaults are tuned to. */
export const sampleValues: SettingValues = {
  ...DEFAULT_SETTINGS,
  minIncidentSurprise: 4,
  throttleSurprise: 6,
  revokeSurprise: 8,
}

const at = (seconds: number) => isoTime(NIGHT + seconds * 1_000)

export function alertSample(over: Partial<AlertRecord> = {}): AlertRecord {
  return {
    id: 'alr_1',
    incident: 'inc_1',
    time: at(-200),
    tenant: 'default',
    transition: 'opened',
    entity: { type: 'principal', id: 'consumer:orders-svc' },
    detectors: ['exfiltration', 'off-hours', 'volume'],
    severity: 'high',
    score: 0.99997,
    surprise: 9.4,
    summary:
      'consumer:orders-svc read 640 records in 4 minutes at 03:00 UTC; it usually reads about 50 a day, never at night.',
    reasons: [
      reason('exfiltration', 'records/10m', 640, 2.1, [0, 14], 'records', 9.4, 0.58),
      reason('off-hours', 'requests/1h', 27, 0.02, [0, 1], 'requests', 6.2, 0.27),
      reason('volume', 'bytes/10m', 1_840_000, 6_200, [0, 41_000], 'bytes', 4.1, 0.1),
      reason('novelty', 'operation/GET /orders/{id}', 1, 0.004, [0, 1], 'share of calls', 1.2, 0.05),
    ],
    owasp: ['API1:2023', 'API6:2023'],
    firstEventTime: at(-240),
    lastEventTime: at(-20),
    events: 27,
    ...over,
  }
}

function reason(
  detector: string,
  feature: string,
  observed: number,
  expected: number,
  range: readonly [number, number],
  unit: string,
  surprise: number,
  weight: number,
) {
  const comparedWith = 'own history and peers'
  return { detector, feature, observed, expected, range, unit, surprise, weight, comparedWith }
}

export function decisionSample(
  over: Partial<Omit<DecisionView, 'decision'>> & { decision?: Partial<Decision> } = {},
): DecisionView {
  const principal = { kind: 'consumer', id: '6f1c', label: 'orders-svc', verified: true } as const
  return {
    status: 'in-force',
    statusReason: null,
    issuedAt: at(-195),
    until: at(3_405),
    effectiveBy: at(-190),
    approval: null,
    proof: { state: 'held', at: at(-188) },
    aliases: [{ gateway: 'edge-2', principal: 'sub:orders-svc', state: 'held' }],
    receipts: [
      {
        time: at(-194),
        gateway: 'kong-eu',
        operation: 'put',
        outcome: 'done',
        detail: 'rate limit on consumer',
      },
    ],
    ...over,
    decision: {
      id: 'dec_1',
      time: at(-200),
      tenant: 'default',
      entity: { type: 'principal', id: 'consumer:orders-svc' },
      action: 'throttle',
      scope: { kind: 'principal', principal },
      mode: 'enforce',
      holdSeconds: 3_600,
      limit: { requests: 1, windowSeconds: 10 },
      incident: 'inc_1',
      reason: 'records/10m far above its own history',
      principal,
      gateway: { kind: 'kong', id: 'kong-eu' },
      tokenExp: null,
      evidenceAt: NIGHT - 200_000,
      ...over.decision,
    },
  }
}

export function incidentSample(over: Partial<IncidentView> = {}): IncidentView {
  const second = { time: at(-90), severity: 'critical', transition: 'escalated', events: 96 } as const
  return {
    id: 'inc_1',
    tenant: 'default',
    entity: 'consumer:orders-svc',
    state: 'open',
    stale: false,
    severity: 'critical',
    openedAt: at(-200),
    resolvedAt: null,
    transitions: [
      alertSample(),
      alertSample({
        id: 'alr_2',
        ...second,
        summary: 'It goes on: 1,420 records, 31 refused calls since the throttle.',
      }),
    ],
    decisions: [],
    ...over,
  }
}

/** Office hours on weekdays, a little before and after; adds up to 1. */
function officeHours(): number[] {
  const raw = Array.from({ length: 168 }, (_, h) => {
    const [day, hour] = [Math.floor(h / 24), h % 24]
    if (day >= 5 || hour < 7 || hour > 18) return 0
    return Math.exp(-((hour - 12.5) ** 2) / 18) * (day === 4 ? 0.7 : 1)
  })
  const sum = raw.reduce((a, b) => a + b, 0)
  return raw.map((x) => x / sum)
}

export function principalSample(over: Partial<PrincipalView> = {}): PrincipalView {
  return {
    tenant: 'default',
    entity: 'consumer:orders-svc',
    stableId: 'consumer:6f1c',
    state: 'MATURE',
    events: 18_204,
    firstSeen: at(-86_400 * 40),
    lastSeen: at(-20),
    normal: [
      { feature: 'requests', window: '1h', expected: 4.2, range: [0, 15], unit: 'requests' },
      { feature: 'records', window: '1d', expected: 50.3, range: [18, 96], unit: 'records' },
      { feature: 'bytes', window: '1d', expected: 152_000, range: [51_000, 318_000], unit: 'bytes' },
    ],
    hourOfWeek: officeHours(),
    ...over,
  }
}

/** The night of the reference story, some quieter callers and a name that tries to break the page. */
export function sampleSeed(): Seed {
  const hostile = 'consumer:<img src=x onerror=alert(1)>\u202egnp'
  const names = ['billing', 'search', 'mobile-app', 'reports', 'partner-acme']
  return {
    principals: [
      principalSample(),
      principalSample({
        entity: hostile,
        stableId: 'consumer:77',
        state: 'LEARNING',
        events: 12,
        normal: [],
        hourOfWeek: new Array(168).fill(0),
      }),
      ...names.map((n, i) =>
        principalSample({
          entity: `consumer:${n}`,
          stableId: `consumer:${i}`,
          events: 900 * (i + 3),
          state: i % 2 ? 'PROVISIONAL' : 'MATURE',
        }),
      ),
    ],
    incidents: [
      incidentSample(),
      incidentSample({
        id: 'inc_2',
        entity: hostile,
        severity: 'medium',
        transitions: [
          alertSample({
            id: 'alr_3',
            incident: 'inc_2',
            severity: 'medium',
            surprise: 4.6,
            entity: { type: 'principal', id: hostile },
            summary: `${hostile} tried 41 object ids in numeric order.`,
          }),
        ],
      }),
      incidentSample({
        id: 'inc_3',
        entity: 'consumer:reports',
        state: 'resolved',
        severity: 'low',
        resolvedAt: at(-4_000),
        openedAt: at(-9_000),
      }),
    ],
    decisions: [
      decisionSample({ status: 'superseded', statusReason: 'stepped up to revoke-token' }),
      decisionSample({
        decision: {
          id: 'dec_2',
          action: 'revoke-token',
          limit: null,
          scope: { kind: 'token', iss: null, jti: 'b6c1' },
          reason: '31 calls while throttled',
        },
      }),
      decisionSample({
        status: 'awaiting-approval',
        statusReason: 'covers more than one subject',
        issuedAt: null,
        until: null,
        effectiveBy: null,
        approval: { by: at(3_400), onTimeout: 'drop' },
        receipts: [],
        decision: {
          id: 'dec_3',
          action: 'block',
          limit: null,
          incident: 'inc_2',
          mode: 'approve',
          entity: { type: 'principal', id: hostile },
        },
      }),
    ],
    settings: {
      values: sampleValues,
      modes: [{ mode: 'observe' }, { gateway: 'kong-eu', mode: 'enforce' }],
      allow: [{ tenant: 'default', entity: 'consumer:backup', reason: 'nightly backup', expires: null }],
    },
  }
}
