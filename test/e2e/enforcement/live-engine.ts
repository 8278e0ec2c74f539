import type { Principal } from '../../../core/event.ts'
import { DAY_MS, eventTime, wallTime } from '../../../core/time.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import type { Alias } from '../../../enforcement/aliases.ts'
import { createEnforcer, type Enforcer } from '../../../enforcement/enforcer.ts'
import type { GatewayAdapter } from '../../../enforcement/gateway.ts'
import type { EnforcementView } from '../../../enforcement/ledger.ts'
import { Partition } from '../../../engine/partition.ts'
import { DEFAULT_SETTINGS, type SettingValues } from '../../../engine/settings.ts'
import type { Format, SourceSettings } from '../../../ingest/format.ts'
import { FORMATS } from '../../../ingest/formats/catalog.ts'
import { MemoryLedger, quietLogger } from '../../services/decision-ledger.ts'

const CANONICAL = FORMATS.get('canonical') as Format
const SETTINGS: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'test', id: 'edge' },
  principal: { order: ['sub'], issuers: new Map() },
  records: { headers: [], contentRange: false, field: null, bytesPerRecord: null },
}
const DAYS = 15
const CALLS_A_DAY = 10

/** Detection and enforcement of one process without log and store, fed with access-log lines as they come. */
export class LiveEngine {
  readonly enforcer: Enforcer
  private readonly partition: Partition
  private readonly stop = new AbortController()
  private offset = 0

  private constructor(
    gateways: readonly GatewayAdapter[],
    values: Partial<SettingValues>,
    aliases: readonly Alias[],
  ) {
    this.partition = new Partition({
      detectors: DETECTORS,
      settings: {
        version: 1,
        values: { ...DEFAULT_SETTINGS, ...values },
        modes: [{ mode: 'enforce' }],
        allow: [],
      },
      maxPrincipals: 1_000,
      seed: 7,
    })
    this.enforcer = createEnforcer({
      gateways,
      ledger: new MemoryLedger(),
      clock: { now: () => wallTime(Date.now()) },
      random: () => 0.5,
      logger: quietLogger,
      isAllowed: () => null,
      aliases,
    })
  }

  static async start(
    gateways: readonly GatewayAdapter[],
    values: Partial<SettingValues> = {},
    aliases: readonly Alias[] = [],
  ): Promise<LiveEngine> {
    const engine = new LiveEngine(gateways, values, aliases)
    await engine.enforcer.load()
    engine.enforcer.start(engine.stop.signal)
    return engine
  }

  /** Fifteen quiet days of each caller: ten calls of about five records, from one address where one is given. */
  learn(callers: readonly Principal[], clientIp: string | null = null): void {
    const first = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAYS * DAY_MS
    for (let call = 0; call < DAYS * CALLS_A_DAY; call++) {
      for (const principal of callers) {
        const time = first + Math.floor(call / CALLS_A_DAY) * DAY_MS + (8 + (call % CALLS_A_DAY)) * 3_600_000
        const records = 4 + (call % 3)
        const responseBytes = 200 + 180 * records
        this.take(
          JSON.stringify({
            time,
            principal,
            clientIp,
            method: 'GET',
            path: '/v1/orders',
            status: 200,
            records,
            responseBytes,
          }),
          time,
        )
      }
    }
  }

  /** Folds one line and acts on what comes of it. */
  take(line: string, receivedAt = Date.now()): void {
    const bytes = Buffer.from(line)
    const raw = { bytes, receivedAt, topic: 'log', partition: 0, offset: this.offset++ }
    CANONICAL.parse(raw, SETTINGS, {
      event: (event) => void this.partition.step({ ...event, time: eventTime(event.time) }),
      rejected: ({ reason, detail }) => {
        throw new Error(`${reason}: ${detail} in ${line}`)
      },
    })
    for (const output of this.partition.book.outputs.splice(0)) {
      if (output.kind === 'decision') void this.enforcer.accept(output.decision)
      if (output.kind === 'proof') this.enforcer.noteProof(output.proof)
    }
  }

  /** The decision of a kind of scope that stands, or null. */
  standing(kind: string): EnforcementView | null {
    return (
      this.enforcer.views().find((v) => v.status === 'in-force' && v.decision.scope.kind === kind) ?? null
    )
  }

  async close(): Promise<void> {
    this.stop.abort()
    await this.enforcer.drain()
  }
}
