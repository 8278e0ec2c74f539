import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../../admin/metrics.ts'

const names = {
  sources: ['kong'],
  gateways: ['kong-eu'],
  sinks: ['slack'],
  rejectReasons: ['not-json'],
  partitions: 2,
}
const fresh = () => createMetrics(names, { processMetrics: false })

describe('metrics', () => {
  it('counts under fixed names, with help texts and base units', async () => {
    const metrics = fresh()
    metrics.events('kong', 3)
    metrics.rejected('not-json')
    metrics.duplicates()
    metrics.reusedIds()
    metrics.late(2)
    metrics.verdict(4.5)
    metrics.verdict(null)
    metrics.incident('high', 'opened')
    metrics.incidentsOpen(1)
    metrics.decision('throttle', 'enforce', 'in-force')
    metrics.gatewayOperation('kong-eu', 'put', 'done')
    metrics.reconcileLag('kong-eu', 1.5)
    metrics.delivery('slack', 'delivered')
    metrics.checkpoint(0.02, 4_096)
    metrics.partitionLag(1, 12)
    metrics.partitionClock(1, 1_770_000_000)
    metrics.principalsResident('MATURE', 7)
    metrics.judged(1_770_000_000, 2.5)
    metrics.coverage('kong', 1_770_000_001, 1)
    metrics.knowledge('known', { version: 7, inForce: 5, cutAt: 1_770_000_000_000, missing: 2 })
    metrics.storeReachable(true)
    metrics.logReachable(false)
    const { body, contentType } = await metrics.exposition()
    expect(contentType).toContain('text/plain')
    for (const line of [
      'curfew_events_total{source="kong"} 3',
      'curfew_rejected_total{reason="not-json"} 1',
      'curfew_duplicates_total 1',
      'curfew_reused_request_ids_total 1',
      'curfew_late_events_total 2',
      'curfew_verdict_surprise_bucket{le="5"} 1',
      'curfew_verdicts_abstained_total 1',
      'curfew_incidents_total{severity="high",transition="opened"} 1',
      'curfew_incidents_open 1',
      'curfew_decisions_total{action="throttle",mode="enforce",status="in-force"} 1',
      'curfew_gateway_operations_total{gateway="kong-eu",operation="put",outcome="done"} 1',
      'curfew_gateway_reconcile_lag_seconds{gateway="kong-eu"} 1.5',
      'curfew_alert_deliveries_total{sink="slack",outcome="delivered"} 1',
      'curfew_checkpoint_duration_seconds_count 1',
      'curfew_last_judged_timestamp_seconds 1770000000',
      'curfew_judging_lag_seconds 2.5',
      'curfew_source_last_line_timestamp_seconds{source="kong"} 1770000001',
      'curfew_coverage_incidents_open{source="kong"} 1',
      'curfew_checkpoint_size_bytes_sum 4096',
      'curfew_knowledge_version{population="known"} 7',
      'curfew_knowledge_version_in_force{population="known"} 5',
      'curfew_knowledge_boundary_timestamp_seconds{population="known"} 1770000000',
      'curfew_knowledge_partitions_missing{population="known"} 2',
      'curfew_partition_lag_seconds{partition="1"} 12',
      'curfew_partition_event_time_seconds{partition="1"} 1770000000',
      'curfew_principals_resident{state="MATURE"} 7',
      'curfew_store_reachable 1',
      'curfew_log_reachable 0',
    ]) {
      expect(body.split('\n')).toContain(line)
    }
    for (const line of body.split('\n').filter((l) => l !== '' && !l.startsWith('#')))
      expect(line).toMatch(/^curfew_/)
  })

  it('turns every name that was not configured into "other"', async () => {
    const metrics = fresh()
    for (let i = 0; i < 100; i++) {
      metrics.events(`attacker-${i}"}\n`)
      metrics.rejected(`reason ${i}`)
      metrics.gatewayOperation(`g${i}`, 'list', 'failed')
      metrics.delivery(`s${i}`, 'refused')
      metrics.partitionLag(i + 2, 1)
    }
    const { body } = await metrics.exposition()
    expect(body).not.toContain('attacker')
    expect(body).toContain('curfew_events_total{source="other"} 100')
    expect(body.split('\n').filter((l) => l.includes('"other"'))).toHaveLength(5)
  })

  it('never throws and never goes backwards on odd numbers', async () => {
    const metrics = fresh()
    for (const odd of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      metrics.events('kong', odd)
      metrics.verdict(odd)
      metrics.checkpoint(odd, odd)
      metrics.partitionLag(odd, odd)
    }
    expect((await metrics.exposition()).body).toContain('curfew_events_total{source="kong"} 0')
  })

  it('reports the process under the customary names, and registries do not share anything', async () => {
    const first = createMetrics(names)
    const second = createMetrics(names)
    first.duplicates(5)
    expect((await second.exposition()).body).toContain('curfew_duplicates_total 0')
    expect((await first.exposition()).body).toContain('process_resident_memory_bytes')
  })
})
