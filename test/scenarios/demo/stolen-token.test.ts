import { describe, expect, it } from 'vitest'
import { callerNamed } from '../../../cli/demo/callers.ts'
import { BATCH, claimsAt, demoHistory, NIGHT } from '../../../cli/demo/history.ts'
import { type GatewayCall, kongLine } from '../../../cli/demo/kong-line.ts'
import type { Decision } from '../../../core/decision.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { demoPartition, eventOf } from './judged-night.ts'

const HOLD_DELAY_MS = 200

interface Told {
  readonly alerts: AlertRecord[]
  readonly decisions: Decision[]
}

/** Folds lines and collects what the engine says. */
function night(): { readonly fold: (line: string) => void; readonly told: Told } {
  const partition = demoPartition()
  const told: Told = { alerts: [], decisions: [] }
  let offset = 0
  const fold = (line: string) => {
    partition.step(eventOf(line, offset++))
    for (const output of partition.book.outputs.splice(0)) {
      if (output.kind === 'alert') told.alerts.push(output.alert)
      else if (output.kind === 'decision') told.decisions.push(output.decision)
    }
  }
  return { fold, told }
}

function call(username: string, at: number, id: number, changes: Partial<GatewayCall>): string {
  const caller = callerNamed(username)
  return kongLine({
    requestId: `night${id}`,
    startedAt: at,
    method: 'GET',
    uri: '/v1/orders?page=1&size=25',
    status: 200,
    requestBytes: 440,
    responseBytes: 320 + 25 * 150,
    requestMs: 20,
    proxyMs: 18,
    records: 25,
    clientIp: caller.clientIp,
    userAgent: caller.userAgent,
    identity: { caller, claims: claimsAt(username, at) },
    decision: null,
    ...changes,
  })
}

describe('the night of the stolen token', () => {
  it('says nothing about anybody in the three weeks before', () => {
    const { fold, told } = night()
    for (const line of demoHistory()) fold(line)
    expect(told).toEqual({ alerts: [], decisions: [] })
  })

  it('throttles, then revokes the token, within 500 records, and leaves the nightly batch alone', () => {
    const { fold, told } = night()
    for (const line of demoHistory()) fold(line)
    let left = 0
    for (let i = 0; i < 400; i++) {
      const at = NIGHT + 10_000 + i * 100
      if (i % 15 === 0 && i / 15 < BATCH.pages) {
        const page = { uri: `${BATCH.path}?page=${i / 15 + 1}&size=500`, records: 500, responseBytes: 90_000 }
        fold(call('warehouse-etl', at, 1_000 + i, page))
      }
      const held = told.decisions.findLast((d) => Date.parse(d.time) + HOLD_DELAY_MS <= at)
      if (held === undefined) left += 25
      const refusal = {
        status: held?.action === 'throttle' ? 429 : 401,
        proxyMs: null,
        records: null,
        responseBytes: 260,
      }
      fold(call('orders-svc', at, i, held === undefined ? {} : { ...refusal, decision: held.id }))
    }
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(500)
    expect(told.decisions.slice(0, 2).map((d) => d.action)).toEqual(['throttle', 'revoke-token'])
    expect(told.decisions[1]!.scope).toMatchObject({ kind: 'token', jti: claimsAt('orders-svc', NIGHT).jti })
    const entities = [...told.alerts, ...told.decisions].map(({ entity }) => entity.id)
    expect(new Set(entities)).toEqual(new Set(['consumer:orders-svc']))
    expect(told.alerts[0]!.transition).toBe('opened')
    expect(told.alerts.some(({ reasons }) => reasons.some((r) => r.detector === 'off-hours'))).toBe(true)
  })
})
