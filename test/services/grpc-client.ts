import { Client, credentials, Metadata } from '@grpc/grpc-js'
import { type GrpcMethod, loadGrpc } from '../../enforcement/grpc/grpc-packages.ts'

/** An answer of `ext_authz`, as far as tests look at it. */
export interface CheckAnswer {
  readonly status?: { readonly code?: number }
  readonly deniedResponse?: {
    readonly status: { readonly code: number }
    readonly headers: readonly HeaderOption[]
    readonly body: string
  }
  readonly okResponse?: {
    readonly headers?: readonly HeaderOption[]
    readonly headersToRemove?: readonly string[]
  }
}

export interface HeaderOption {
  readonly header: { readonly key: string; readonly value: string }
  readonly appendAction: number
}

/** An answer of the rate limit service. */
export interface LimitAnswer {
  readonly overallCode: number
  readonly statuses?: readonly { readonly code: number }[]
  readonly responseHeadersToAdd?: readonly { readonly key: string; readonly value: string }[]
}

/** Asks as Envoy does. A call that ends without an answer is rejected with an error that has a gRPC `code`. */
export interface GrpcClient {
  check(request: object): Promise<CheckAnswer>
  limit(request: object): Promise<LimitAnswer>
  /** Sends bytes as they are to the method of that name. */
  send(method: 'check' | 'limit', bytes: Buffer): Promise<object>
  close(): void
}

/** A client on loopback; `authorization` is what it sends of itself, null for nothing. */
export async function grpcClient(port: number, authorization: string | null = null): Promise<GrpcClient> {
  const { authorization: auth, rateLimit } = await loadGrpc()
  const methods = { check: auth.Check, limit: rateLimit.ShouldRateLimit }
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
  })
  const metadata = new Metadata()
  if (authorization !== null) metadata.set('authorization', authorization)
  const send = ({ path, responseDeserialize }: GrpcMethod, bytes: Buffer) =>
    new Promise<object>((resolve, reject) => {
      const options = { deadline: Date.now() + 20_000 }
      const asIs = (message: Buffer) => message
      client.makeUnaryRequest(
        path,
        asIs,
        responseDeserialize,
        bytes,
        metadata,
        options,
        (error: Error | null, answer: object) => (error === null ? resolve(answer) : reject(error)),
      )
    })
  const ask = (method: GrpcMethod, request: object) => send(method, method.requestSerialize(request))
  return {
    check: async (request) => (await ask(methods.check, request)) as CheckAnswer,
    limit: async (request) => (await ask(methods.limit, request)) as LimitAnswer,
    send: (method, bytes) => send(methods[method], bytes),
    close: () => client.close(),
  }
}
