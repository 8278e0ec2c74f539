import type { Socket } from 'node:net'
import { CurfewError } from '../../core/errors.ts'
import { AUTH_V3, type Descriptor, RATE_LIMIT_V3 } from './envoy-messages.ts'

/** One method with its codec, as `@grpc/proto-loader` gives it. */
export interface GrpcMethod {
  readonly path: string
  readonly requestSerialize: (message: object) => Buffer
  readonly requestDeserialize: (bytes: Buffer) => object
  readonly responseSerialize: (message: object) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => object
}

/** Why a call ends without an answer. */
export interface GrpcStatus {
  readonly code: number
  readonly details: string
}

/** What a handler answers with. */
export type GrpcCallback = (status: GrpcStatus | null, answer?: object) => void

interface GrpcMetadata {
  get(name: string): readonly (string | Buffer)[]
}

interface GrpcCall {
  sendStatus(status: GrpcStatus): void
}

interface GrpcListener {
  onReceiveMetadata(metadata: GrpcMetadata, pass: (metadata: GrpcMetadata) => void): void
}

interface GrpcResponder {
  start(next: (listener: GrpcListener) => void): void
}

/** Looks at a call before its message is read. */
export type GrpcInterceptor = (method: object, call: GrpcCall) => object

/** Takes connections that were accepted elsewhere. */
export interface GrpcInjector {
  injectConnection(socket: Socket): void
  /** Lets running calls end, within so many ms. */
  drain(graceMs: number): void
}

interface GrpcServer {
  addService(service: object, handlers: object): void
  createConnectionInjector(credentials: object): GrpcInjector
  forceShutdown(): void
}

/** What is used of `@grpc/grpc-js`. */
export interface GrpcLibrary {
  readonly Server: new (options: object) => GrpcServer
  readonly ServerCredentials: { createInsecure(): object }
  readonly ServerInterceptingCall: new (call: GrpcCall, responder: GrpcResponder) => object
}

/** The library, and the two services by their names in the descriptors. */
export interface GrpcPackages {
  readonly grpc: GrpcLibrary
  readonly authorization: Readonly<Record<'Check', GrpcMethod>>
  readonly rateLimit: Readonly<Record<'ShouldRateLimit', GrpcMethod>>
}

interface ProtoLoader {
  fromJSON(descriptor: object, options: object): Readonly<Record<string, object>>
}

type Importing = () => Promise<readonly [grpc: unknown, protoLoader: unknown]>

const IMPORTING: Importing = () => Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')])

/** Loads the optional packages; `CONFIG_INVALID` says what to install where they are missing. */
export async function loadGrpc(importing: Importing = IMPORTING): Promise<GrpcPackages> {
  let loaded: readonly [unknown, unknown]
  try {
    loaded = await importing()
  } catch (cause) {
    const what =
      'decisionEndpoint.grpc: gRPC is not installed: npm install @grpc/grpc-js@1.14.7 @grpc/proto-loader@0.8.1'
    throw new CurfewError('CONFIG_INVALID', what, { cause })
  }
  const [grpc, loader] = loaded as readonly [GrpcLibrary, ProtoLoader]
  const service = (namespace: string, types: Readonly<Record<string, Descriptor>>, name: string) =>
    loader.fromJSON(nestedIn(namespace, types), { defaults: false })[`${namespace}.${name}`] as never
  return {
    grpc,
    authorization: service('envoy.service.auth.v3', AUTH_V3, 'Authorization'),
    rateLimit: service('envoy.service.ratelimit.v3', RATE_LIMIT_V3, 'RateLimitService'),
  }
}

function nestedIn(namespace: string, types: object): object {
  return namespace.split('.').reduceRight<object>((nested, name) => ({ nested: { [name]: nested } }), {
    nested: types,
  })
}
