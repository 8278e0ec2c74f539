import type { StateStore } from '../baseline/store.ts'

/** Name of the document that says how far a reader of the outboxes has come. */
export function cursorDocument(reader: string): string {
  return `outbox-cursor:${reader}`
}

/** How far every one of the named readers has come, by partition; entries up to there may go. */
export async function takenByAll(
  store: StateStore,
  readers: readonly string[],
): Promise<ReadonlyMap<number, number>> {
  const cursors: Record<string, number>[] = []
  for (const name of readers) {
    const { version, body } = await store.getDocument(cursorDocument(name))
    if (version === 0) return new Map()
    cursors.push(JSON.parse(body) as Record<string, number>)
  }
  const [first, ...others] = cursors
  return new Map(
    Object.entries(first ?? {}).map(([partition, seq]) => [
      Number(partition),
      Math.min(seq, ...others.map((cursor) => cursor[partition] ?? 0)),
    ]),
  )
}
