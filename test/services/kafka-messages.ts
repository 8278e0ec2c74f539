import type { GroupMember, IncomingMessage, KafkaClient } from '../../ingest/sources/kafka-client.ts'

/** Reads from the beginning until `count` messages came. */
export async function readMessages(
  client: KafkaClient,
  topic: string,
  count: number,
): Promise<IncomingMessage[]> {
  const messages: IncomingMessage[] = []
  let member: GroupMember | null = null
  await new Promise<void>((resolve, reject) => {
    client
      .join(
        { groupId: `g-${topic}`, topics: [topic], fromBeginning: true, concurrency: 1, maxWaitMs: 50 },
        {
          joined: () => undefined,
          left: () => undefined,
          failed: (error, again) => {
            // A fresh broker may still load its groups; the member joins again by itself.
            if (!again) reject(error)
          },
          batch: async (batch) => {
            messages.push(...batch.messages)
            batch.resolve(batch.messages.at(-1)?.offset ?? 0)
            if (messages.length >= count) resolve()
          },
        },
      )
      .then((joined) => {
        member = joined
      }, reject)
  })
  await (member as GroupMember | null)?.close()
  return messages
}
