import { describe, expect, it } from 'vitest'
import type { LogRecord } from '../../../../ingest/source.ts'
import { deferred } from '../../../../ingest/sources/deferred.ts'
import { KafkaAppender } from '../../../../ingest/sources/kafka-appender.ts'
import { call, consumer } from '../../../scenarios/engine/traffic.ts'

function entry(text: string, partition = 0) {
  return { partition, source: 'kong', bytes: Buffer.from(text), receivedAt: 5 }
}

/** A producer whose requests are answered by the test. */
function heldProducer() {
  const requests: { readonly texts: readonly string[]; readonly answer: ReturnType<typeof answerOf> }[] = []
  const answerOf = () => deferred<ReadonlyMap<number, number>>()
  return {
    requests,
    producer: {
      send: (_topic: string, messages: readonly { readonly value: Uint8Array }[]) => {
        const answer = answerOf()
        requests.push({ texts: messages.map(({ value }) => Buffer.from(value).toString()), answer })
        return answer.promise
      },
      close: async () => undefined,
    },
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('appends to the topic of the engine', () => {
  it('share the next request when they come while one is under way', async () => {
    const { producer, requests } = heldProducer()
    const written: LogRecord[] = []
    const appender = new KafkaAppender(producer, 'events', 1e6, (_, records) => written.push(...records))
    const first = appender.append([entry('a')])
    await turn()
    const others = [appender.append([entry('b')]), appender.append([entry('c'), entry('d')])]
    await turn()
    expect(requests.map(({ texts }) => texts)).toEqual([['a']])
    requests[0]!.answer.resolve(new Map([[0, 7]]))
    await first
    await turn()
    expect(requests.map(({ texts }) => texts)).toEqual([['a'], ['b', 'c', 'd']])
    requests[1]!.answer.resolve(new Map([[0, 8]]))
    await Promise.all(others)
    expect(written.map(({ offset, bytes }) => [offset, Buffer.from(bytes).toString()])).toEqual([
      [7, 'a'],
      [8, 'b'],
      [9, 'c'],
      [10, 'd'],
    ])
  })

  it('bring their events, but for what waits behind 8 MiB, which is kept as bytes alone', async () => {
    const { producer, requests } = heldProducer()
    const written: LogRecord[] = []
    const appender = new KafkaAppender(producer, 'events', 1e8, (_, records) => written.push(...records))
    const events = [call(0, consumer('etl'))]
    const first = appender.append([{ ...entry('a'), events }])
    await turn()
    const long = { ...entry('b'), bytes: Buffer.alloc(9_000_000), events }
    const behind = [appender.append([long]), appender.append([{ ...entry('c'), events }])]
    requests[0]!.answer.resolve(new Map([[0, 0]]))
    await first
    while (requests.length < 2) await turn()
    requests[1]!.answer.resolve(new Map([[0, 1]]))
    while (requests.length < 3) await turn()
    requests[2]!.answer.resolve(new Map([[0, 2]]))
    await Promise.all(behind)
    expect(written.map((record) => record.events)).toEqual([events, undefined, undefined])
  })

  it('fail with the one that they wait behind, and are not sent', async () => {
    const { producer, requests } = heldProducer()
    const appender = new KafkaAppender(producer, 'events', 1e6, () => undefined)
    const first = appender.append([entry('a')])
    await turn()
    const behind = appender.append([entry('b')])
    const all = Promise.allSettled([first, behind])
    requests[0]!.answer.reject(new Error('no leader'))
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await turn()
    expect(requests).toHaveLength(1)
  })
})
