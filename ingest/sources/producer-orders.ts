import { CurfewError, type ErrorCode } from '../../core/errors.ts'
import type { OutgoingMessage } from './kafka-client.ts'
import type { KafkaOptions } from './kafka-options.ts'
import type { Logger } from './logger.ts'

/** What the thread of a producer is started with. This and all that is said between the two is data that can be cloned. */
export interface ProducerTask {
  readonly kafka: KafkaOptions
}

/** A message whose value lies, so many bytes long, behind those of the messages before it. */
export type PackedMessage = Omit<OutgoingMessage, 'value'> & { readonly length: number }

export type ProducerOrder =
  | {
      readonly kind: 'send'
      readonly id: number
      readonly topic: string
      readonly messages: readonly PackedMessage[]
      /** The values one behind the other; handed over, not copied. */
      readonly values: Uint8Array<ArrayBuffer>
    }
  | { readonly kind: 'close' }

/** A {@link CurfewError} on its way to another thread, where classes do not go. */
export interface ToldError {
  readonly code: ErrorCode
  readonly message: string
  readonly retriable: boolean
}

export type ProducerAnswer =
  | { readonly kind: 'sent'; readonly id: number; readonly firsts: ReadonlyMap<number, number> }
  | { readonly kind: 'failed'; readonly id: number; readonly error: ToldError }
  | {
      readonly kind: 'log'
      readonly level: keyof Logger
      readonly fields: object
      readonly message: string
    }

/** Values in memory of their own, so that it can be handed over whole. */
export function packMessages(messages: readonly OutgoingMessage[]): {
  readonly messages: readonly PackedMessage[]
  readonly values: Uint8Array<ArrayBuffer>
} {
  const values = new Uint8Array(messages.reduce((sum, { value }) => sum + value.length, 0))
  let at = 0
  const packed = messages.map(({ value, ...rest }) => {
    values.set(value, at)
    at += value.length
    return { ...rest, length: value.length }
  })
  return { messages: packed, values }
}

export function unpackMessages(
  messages: readonly PackedMessage[],
  values: Uint8Array,
): readonly OutgoingMessage[] {
  let at = 0
  return messages.map(({ length, ...rest }) => {
    const value = values.subarray(at, at + length)
    at += length
    return { ...rest, value }
  })
}

export function tellError(error: unknown): ToldError {
  const { message } = error instanceof Error ? error : new Error(String(error))
  if (!(error instanceof CurfewError)) return { code: 'LOG_UNREACHABLE', message, retriable: false }
  return { code: error.code, message, retriable: error.retriable }
}

export function heardError({ code, message, retriable }: ToldError): CurfewError {
  return new CurfewError(code, message, { retriable })
}
