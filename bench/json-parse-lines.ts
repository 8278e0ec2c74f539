import { createReadStream } from 'node:fs'
import { LineSplitter } from '../ingest/line-splitter.ts'

/** The reference of every replay figure: reads the file as replay does and calls JSON.parse on each line. */
const path = process.argv[2]!
const splitter = new LineSplitter()
const decoder = new TextDecoder()
let lines = 0
let started = 0
const onLine = (bytes: Uint8Array) => {
  JSON.parse(decoder.decode(bytes))
  lines++
}
started = performance.now()
for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
  splitter.push(chunk as Uint8Array, onLine)
splitter.end(onLine)
const seconds = (performance.now() - started) / 1000
process.stdout.write(`${JSON.stringify({ events: lines, eventsPerSecond: Math.round(lines / seconds) })}\n`)
