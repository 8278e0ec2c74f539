// Writes the demo's access log from its generator. Needs a build: `npm run build && node scripts/make-demo-log.mjs`.
import { mkdirSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { demoHistory } from '../dist/cli/demo/history.js'

const folder = new URL('../samples/demo/', import.meta.url)
const text = demoHistory()
  .map((line) => `${line}\n`)
  .join('')
mkdirSync(folder, { recursive: true })
writeFileSync(new URL('kong-access.ndjson.gz', folder), gzipSync(text, { level: 9 }))
