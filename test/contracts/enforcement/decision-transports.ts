import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import type { DecisionDeskOptions } from '../../../enforcement/decision-desk.ts'
import { startDecisionEndpoint } from '../../../enforcement/decision-endpoint.ts'
import { startGrpcEndpoint } from '../../../enforcement/grpc/grpc-endpoint.ts'
import {
  type CheckAnswer,
  type GrpcClient,
  grpcClient,
  type LimitAnswer,
} from '../../services/grpc-client.ts'
import type { Ask, DecisionCase, Outcome, SentHeaders } from './decision-contract.ts'

const ADDRESS_HEADER = 'x-curfew-client'
const DOMAIN = 'curfew'
const OK = 1

/** Over HTTP, with the header by which NGINX and Caddy tell the address. */
export const HTTP: DecisionCase = {
  name: 'HTTP',
  make: async (options) => {
    const endpoint = await startDecisionEndpoint({ ...options, port: 0, addressHeader: ADDRESS_HEADER })
    const ask: Ask = (headers, address) =>
      new Promise((resolve, reject) => {
        const all = ['host', 'api', ADDRESS_HEADER, address, ...headers]
        httpRequest(`${endpoint.url}/decide`, { headers: all, agent: false }, (answer) => {
          answer.resume()
          resolve(outcomeOf(answer.statusCode ?? 0, answer.headers))
        })
          .on('error', reject)
          .end()
      })
    return { ask, close: () => endpoint.close() }
  },
}

/** `ext_authz` over gRPC as Envoy asks by default: repeated headers are joined. */
export const CHECK_JOINED: DecisionCase = {
  name: 'ext_authz over gRPC',
  make: overGrpc((client) => async (headers, address) => {
    const http = { headers: Object.fromEntries(joined(headers)) }
    return outcomeOfCheck(await client.check(question(http, address)))
  }),
}

/** The same with `encode_raw_headers`: each header by itself. */
export const CHECK_RAW: DecisionCase = {
  name: 'ext_authz over gRPC with raw headers',
  make: overGrpc((client) => async (headers, address) => {
    const list = pairs(headers).map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') }))
    return outcomeOfCheck(await client.check(question({ headerMap: { headers: list } }, address)))
  }),
}

/** The rate limit service, with one descriptor for each thing that the sample tells. */
export const RATE_LIMIT: DecisionCase = {
  name: 'rate limit service',
  make: overGrpc((client) => async (headers, address) => {
    const told = [...joined(headers), ['remote_address', address]] as const
    const descriptors = told.map(([key, value]) => ({ entries: [{ key, value }] }))
    return outcomeOfLimit(await client.limit({ domain: DOMAIN, descriptors }))
  }),
}

function overGrpc(asking: (client: GrpcClient) => Ask): DecisionCase['make'] {
  return async (options: DecisionDeskOptions) => {
    const http = await startDecisionEndpoint({ ...options, port: 0 })
    const grpc = await startGrpcEndpoint(http.desk, {
      host: '127.0.0.1',
      port: 0,
      token: null,
      verifiedClaims: null,
      rateLimitDomain: DOMAIN,
    })
    const client = await grpcClient(grpc.port)
    const close = async () => {
      client.close()
      await grpc.close()
      await http.close()
    }
    return { ask: asking(client), close }
  }
}

function question(http: object, address: string): object {
  return { attributes: { source: { address: { socketAddress: { address } } }, request: { http } } }
}

function pairs(headers: SentHeaders): readonly (readonly [string, string])[] {
  return headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1] ?? ''] as const] : []))
}

/** As Envoy joins headers of one name. */
function joined(headers: SentHeaders): readonly (readonly [string, string])[] {
  const byName = new Map<string, string>()
  for (const [name, value] of pairs(headers)) {
    const before = byName.get(name)
    byName.set(name, before === undefined ? value : `${before},${value}`)
  }
  return [...byName]
}

function outcomeOf(status: number, headers: IncomingHttpHeaders): Outcome {
  const one = (name: string) => {
    const value = headers[name]
    return typeof value === 'string' ? value : null
  }
  const [reason, ruleId, retryAfter] = [one('x-curfew-reason'), one('x-curfew-decision'), one('retry-after')]
  return { passes: status === 200, status, reason, ruleId, retryAfter }
}

function outcomeOfCheck({ status, deniedResponse }: CheckAnswer): Outcome {
  const headers = (deniedResponse?.headers ?? []).map(({ header }) => [header.key, header.value] as const)
  const passes = (status?.code ?? 0) === 0
  return { ...outcomeOf(deniedResponse?.status.code ?? 200, Object.fromEntries(headers)), passes }
}

function outcomeOfLimit({ overallCode, responseHeadersToAdd }: LimitAnswer): Outcome {
  const headers = (responseHeadersToAdd ?? []).map(({ key, value }) => [key, value] as const)
  const passes = overallCode === OK
  return { ...outcomeOf(0, Object.fromEntries(headers)), passes, status: null }
}
