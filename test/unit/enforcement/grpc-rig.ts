import { wallTime } from '../../../core/time.ts'
import type { DecisionDeskOptions } from '../../../enforcement/decision-desk.ts'
import { DecisionDesk } from '../../../enforcement/decision-desk.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import {
  type GrpcEndpoint,
  type GrpcEndpointOptions,
  startGrpcEndpoint,
} from '../../../enforcement/grpc/grpc-endpoint.ts'
import { type GrpcClient, grpcClient } from '../../services/grpc-client.ts'

export const NOW_S = 1_790_000_000
export const STOP = new AbortController().signal

/** A gRPC endpoint on loopback over a list of its own. */
export interface GrpcRig {
  readonly denyList: DenyList
  readonly endpoint: GrpcEndpoint
  /** Status and reason of every answer. */
  readonly answered: readonly string[]
  client(authorization?: string | null): Promise<GrpcClient>
  close(): Promise<void>
}

export async function startGrpcRig(
  grpc: Partial<GrpcEndpointOptions> = {},
  desk: Partial<DecisionDeskOptions> = {},
): Promise<GrpcRig> {
  const clock = { now: () => wallTime(NOW_S * 1_000) }
  const denyList = new DenyList({
    name: 'deny',
    store: new MemoryDenyStore(),
    clock,
    worstCaseDelayMs: 0,
    knowsAddress: true,
  })
  await denyList.refresh(STOP)
  const answered: string[] = []
  const opened = await DecisionDesk.open({
    denyList,
    clock,
    issuers: [],
    requireIdentity: true,
    trustHeaders: null,
    apiKeyHeader: null,
    failMode: 'closed',
    maxStaleMs: 10_000,
    answered: (status, reason) => answered.push(`${status} ${reason}`),
    ...desk,
  })
  const options = { host: '127.0.0.1', port: 0, token: null, verifiedClaims: null, rateLimitDomain: 'curfew' }
  const endpoint = await startGrpcEndpoint(opened, { ...options, ...grpc })
  const clients: GrpcClient[] = []
  return {
    denyList,
    endpoint,
    answered,
    client: async (authorization = null) => {
      const client = await grpcClient(endpoint.port, authorization)
      clients.push(client)
      return client
    },
    close: async () => {
      for (const client of clients) client.close()
      await endpoint.close()
    },
  }
}
