/**
 * Appends numbered records to the journal in the folder that is given, several at a time, and prints each
 * number once it is acknowledged, until it is killed.
 */
import { writeSync } from 'node:fs'
import { Journal } from '../../../ingest/journal/journal.ts'

const folder = process.argv[2] ?? ''
const first = Number(process.argv[3] ?? 0)
const journal = await Journal.open({ folder, segmentBytes: 200_000 })
for (let start = first; ; start += 20) {
  const group = Array.from({ length: 20 }, (_, i) => start + i)
  await Promise.all(
    group.map(async (number) => {
      const bytes = Buffer.from(`${number} ${'x'.repeat(number % 3_000)}`)
      await journal.append([{ partition: 0, source: 's', bytes, receivedAt: number }])
      writeSync(1, `${number}\n`)
    }),
  )
}
