/** How to reach a Kafka cluster. Certificates and keys are PEM text, not paths. */
export interface KafkaOptions {
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  }
  /** Present, even when empty: TLS. */
  readonly tls?: {
    readonly ca?: string
    readonly cert?: string
    readonly key?: string
    /** False accepts any certificate; for trials only. Default true. */
    readonly rejectUnauthorized?: boolean
  }
  /** Default 5,000. */
  readonly connectionTimeoutMs?: number
  /** Default 10,000. */
  readonly authenticationTimeoutMs?: number
  /** Default 30,000. */
  readonly requestTimeoutMs?: number
  /** How often the client tries a request again by itself before it fails. Default 5. */
  readonly retries?: number
  /** Most bytes that one compressed batch may become. Default 16 MiB, above every producer's own default. */
  readonly maxDecompressedBytes?: number
}
