import { type AddressInfo, createServer } from 'node:net'
import { CurfewError } from '../../core/errors.ts'
import { secretsEqual } from '../../core/hash.ts'
import type { Reply } from '../decision-answer.ts'
import type { DecisionDesk } from '../decision-desk.ts'
import { checkedCall, checkResponse } from './check.ts'
import type { CheckRequest, RateLimitRequest } from './envoy-messages.ts'
import {
  type GrpcCallback,
  type GrpcInjector,
  type GrpcInterceptor,
  type GrpcLibrary,
  type GrpcMethod,
  loadGrpc,
} from './grpc-packages.ts'
import { limitedCall, limitResponse } from './rate-limit.ts'

/** A longer question is refused unread. */
export const MAX_QUESTION_BYTES = 65_536
/**
 * What is taken off the wire at all. More than a question may have: Envoy tells the path twice, so its 60 KiB of headers can
 * become 120 KiB, and what is cut off here is an error, which `failure_mode_allow` would let pass.
 */
const MAX_MESSAGE_BYTES = 262_144
/** Calls in flight on one connection; a gateway with more opens another one. */
const MAX_STREAMS = 100
/** Connections at once; a gateway opens few. */
export const MAX_GRPC_CONNECTIONS = 128
/** MB that one connection may have pending. */
const MAX_SESSION_MEMORY_MB = 32
/** Connections of gateways that are gone do not keep their places. */
const KEEPALIVE_MS = 60_000
const KEEPALIVE_TIMEOUT_MS = 20_000
/** How long a connection without a call keeps its place. */
const IDLE_MS = 600_000
/** How long running calls may take to end when the listener closes. */
const GRACE_MS = 1_000

/** `google.rpc.Code`. */
const INTERNAL = 13
const UNAUTHENTICATED = 16

/** A message that is refused as it stands. */
const TOO_LARGE: unique symbol = Symbol('too large')
const UNREADABLE: unique symbol = Symbol('unreadable')
type Read<T> = T | typeof TOO_LARGE | typeof UNREADABLE

export interface GrpcEndpointOptions {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** What a gateway must send as `authorization: Bearer …`; null asks nobody, for loopback only. */
  readonly token: string | null
  /** `payload_in_metadata` of Envoy's `jwt_authn`, whose claims are believed; null believes none. */
  readonly verifiedClaims: string | null
  /** Domain of the rate limit filters that may ask. */
  readonly rateLimitDomain: string
}

/** A running gRPC listener. */
export interface GrpcEndpoint {
  readonly port: number
  close(): Promise<void>
}

/**
 * Serves Envoy's `ext_authz` and rate limit service over gRPC with what the desk answers. Every refusal is an answer and no
 * gRPC error: what an error means is the gateway's choice. Throws `CONFIG_INVALID` where the packages are
 * missing or the address cannot be listened on.
 */
export async function startGrpcEndpoint(
  desk: DecisionDesk,
  options: GrpcEndpointOptions,
): Promise<GrpcEndpoint> {
  const { grpc, authorization, rateLimit } = await loadGrpc()
  const { token, host } = options
  const server = new grpc.Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.max_connection_idle_ms': IDLE_MS,
    'grpc.enable_channelz': 0,
    'grpc-node.max_session_memory': MAX_SESSION_MEMORY_MB,
    interceptors: token === null ? [] : [asksForToken(grpc, token)],
  })
  server.addService({ Check: guarded(authorization.Check) }, { Check: answersCheck(desk, options) })
  server.addService(
    { ShouldRateLimit: guarded(rateLimit.ShouldRateLimit) },
    { ShouldRateLimit: answersLimit(desk, options) },
  )
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  const { port, close } = await accept(injector, host, options.port)
  return {
    port,
    close: async () => {
      await close()
      server.forceShutdown()
    },
  }
}

/** Connections are accepted here, as the library has no bound on their number. */
async function accept(injector: GrpcInjector, host: string, port: number) {
  const listener = createServer({ noDelay: true }, (socket) => injector.injectConnection(socket))
  listener.maxConnections = MAX_GRPC_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    listener.once('error', (cause) =>
      reject(new CurfewError('CONFIG_INVALID', `gRPC endpoint cannot listen on ${host}:${port}`, { cause })),
    )
    listener.listen({ host, port }, resolve)
  })
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      listener.close(() => resolve())
      injector.drain(GRACE_MS)
    })
  return { port: (listener.address() as AddressInfo).port, close }
}

/** Before a message is read, so that strangers make nothing of it be worked on. */
function asksForToken(grpc: GrpcLibrary, token: string): GrpcInterceptor {
  return (_method, call) =>
    new grpc.ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            const sent = metadata.get('authorization')
            const isRight = sent.length === 1 && secretsEqual(String(sent[0]), `Bearer ${token}`)
            if (isRight) pass(metadata)
            else call.sendStatus({ code: UNAUTHENTICATED, details: 'a token is missing or wrong' })
          },
        }),
    })
}

/** A method whose messages are read within bounds; one that cannot be read is an answer, too, and no error. */
function guarded(method: GrpcMethod): object {
  const requestDeserialize = (bytes: Buffer): Read<object> => {
    if (bytes.length > MAX_QUESTION_BYTES) return TOO_LARGE
    try {
      return method.requestDeserialize(bytes)
    } catch {
      return UNREADABLE
    }
  }
  return { ...method, requestDeserialize }
}

type Handler<T> = (call: { readonly request: Read<T> }, callback: GrpcCallback) => void

function answersCheck(desk: DecisionDesk, { verifiedClaims }: GrpcEndpointOptions): Handler<CheckRequest> {
  return ({ request }, callback) =>
    tell(callback, async () => {
      if (!isRead(request)) return checkResponse(turnedAway(desk, request))
      return checkResponse(await desk.answer(checkedCall(request, verifiedClaims)))
    })
}

function answersLimit(desk: DecisionDesk, options: GrpcEndpointOptions): Handler<RateLimitRequest> {
  const { rateLimitDomain, verifiedClaims } = options
  return ({ request }, callback) =>
    tell(callback, async () => {
      if (!isRead(request)) return limitResponse(turnedAway(desk, request), {})
      if (request.domain !== rateLimitDomain)
        return limitResponse(desk.refuse(403, 'unknown-domain'), request)
      return limitResponse(await desk.answer(limitedCall(request, verifiedClaims !== null)), request)
    })
}

function isRead<T extends object>(request: Read<T>): request is T {
  return request !== TOO_LARGE && request !== UNREADABLE
}

function turnedAway(desk: DecisionDesk, request: typeof TOO_LARGE | typeof UNREADABLE): Reply {
  if (request === TOO_LARGE) return desk.refuse(431, 'question-too-large')
  return desk.refuse(400, 'unreadable-question')
}

/** A handler that throws would end the process. */
function tell(callback: GrpcCallback, answer: () => Promise<object>): void {
  answer().then(
    (told) => callback(null, told),
    () => callback({ code: INTERNAL, details: 'no answer' }),
  )
}
