// The parts of Envoy's messages that are read and written here, as protobufjs takes descriptors, with the field numbers of
// envoyproxy/data-plane-api 84e84367 (2026-01-29). Whatever else a message holds is skipped unread. Written as code
// and not as .proto files, so that the compiled program finds it wherever it lies.

interface Field {
  readonly id: number
  readonly type: string
  readonly rule?: 'repeated'
  readonly keyType?: string
}

/** A message or a service in the form of protobufjs. */
export type Descriptor =
  | { readonly fields: Readonly<Record<string, Field>>; readonly oneofs?: object }
  | { readonly methods: object }

const field = (id: number, type: string): Field => ({ id, type })
const list = (id: number, type: string): Field => ({ id, type, rule: 'repeated' })
const map = (id: number, type: string): Field => ({ id, type, keyType: 'string' })
const method = (requestType: string, responseType: string) => ({ requestType, responseType })

/** A header as both services write it. */
const HEADER_VALUE: Descriptor = {
  fields: { key: field(1, 'string'), value: field(2, 'string'), rawValue: field(3, 'bytes') },
}

/** `envoy.service.auth.v3`. `Struct` is cut off at the depth at which claims lie, so nothing here can nest. */
export const AUTH_V3: Readonly<Record<string, Descriptor>> = {
  Authorization: { methods: { Check: method('CheckRequest', 'CheckResponse') } },
  CheckRequest: { fields: { attributes: field(1, 'AttributeContext') } },
  AttributeContext: {
    fields: {
      source: field(1, 'Peer'),
      request: field(4, 'Request'),
      metadataContext: field(11, 'Metadata'),
    },
  },
  Peer: { fields: { address: field(1, 'Address') } },
  Address: { fields: { socketAddress: field(1, 'SocketAddress') } },
  SocketAddress: { fields: { address: field(2, 'string') } },
  Request: { fields: { http: field(2, 'HttpRequest') } },
  HttpRequest: { fields: { headers: map(3, 'string'), headerMap: field(13, 'HeaderMap') } },
  HeaderMap: { fields: { headers: list(1, 'HeaderValue') } },
  HeaderValue: HEADER_VALUE,
  Metadata: { fields: { filterMetadata: map(1, 'Filter') } },
  Filter: { fields: { fields: map(1, 'FilterValue') } },
  FilterValue: { fields: { structValue: field(5, 'Claims') } },
  Claims: { fields: { fields: map(1, 'Claim') } },
  Claim: {
    oneofs: { kind: { oneof: ['nullValue', 'numberValue', 'stringValue'] } },
    fields: {
      nullValue: field(1, 'int32'),
      numberValue: field(2, 'double'),
      stringValue: field(3, 'string'),
    },
  },
  CheckResponse: {
    fields: {
      status: field(1, 'Status'),
      deniedResponse: field(2, 'DeniedHttpResponse'),
      okResponse: field(3, 'OkHttpResponse'),
    },
  },
  Status: { fields: { code: field(1, 'int32') } },
  DeniedHttpResponse: {
    fields: {
      status: field(1, 'HttpStatus'),
      headers: list(2, 'HeaderValueOption'),
      body: field(3, 'string'),
    },
  },
  HttpStatus: { fields: { code: field(1, 'int32') } },
  OkHttpResponse: { fields: { headers: list(2, 'HeaderValueOption'), headersToRemove: list(5, 'string') } },
  HeaderValueOption: { fields: { header: field(1, 'HeaderValue'), appendAction: field(3, 'int32') } },
}

/** `envoy.service.ratelimit.v3`, with the descriptors of `envoy.extensions.common.ratelimit.v3`. */
export const RATE_LIMIT_V3: Readonly<Record<string, Descriptor>> = {
  RateLimitService: { methods: { ShouldRateLimit: method('RateLimitRequest', 'RateLimitResponse') } },
  RateLimitRequest: { fields: { domain: field(1, 'string'), descriptors: list(2, 'RateLimitDescriptor') } },
  RateLimitDescriptor: { fields: { entries: list(1, 'Entry') } },
  Entry: { fields: { key: field(1, 'string'), value: field(2, 'string') } },
  RateLimitResponse: {
    fields: {
      overallCode: field(1, 'int32'),
      statuses: list(2, 'DescriptorStatus'),
      responseHeadersToAdd: list(3, 'HeaderValue'),
    },
  },
  DescriptorStatus: { fields: { code: field(1, 'int32') } },
  HeaderValue: HEADER_VALUE,
}

/** A header of a question. With `encode_raw_headers` Envoy fills `rawValue`, else `value`. */
export interface HeaderValue {
  readonly key?: string
  readonly value?: string
  readonly rawValue?: Uint8Array
}

/** A claim as `Struct` holds it; without any of these it is a list, an object or a truth value. */
export interface Claim {
  readonly nullValue?: number
  readonly numberValue?: number
  readonly stringValue?: string
}

/** A question of `ext_authz`. Whatever is empty is absent. */
export interface CheckRequest {
  readonly attributes?: {
    readonly source?: { readonly address?: { readonly socketAddress?: { readonly address?: string } } }
    readonly request?: {
      readonly http?: {
        readonly headers?: Readonly<Record<string, string>>
        readonly headerMap?: { readonly headers?: readonly HeaderValue[] }
      }
    }
    readonly metadataContext?: {
      readonly filterMetadata?: Readonly<
        Record<
          string,
          {
            readonly fields?: Readonly<
              Record<string, { readonly structValue?: { readonly fields?: Readonly<Record<string, Claim>> } }>
            >
          }
        >
      >
    }
  }
}

/** A question of the rate limit filter. */
export interface RateLimitRequest {
  readonly domain?: string
  readonly descriptors?: readonly {
    readonly entries?: readonly { readonly key?: string; readonly value?: string }[]
  }[]
}
