import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FORMAT_NAMES } from '../../../../ingest/formats/catalog.ts'
import { decodeInternal, encodeInternal, isReadBackAlike } from '../../../../ingest/formats/internal.ts'
import { formatNamed, SETTINGS } from '../../../contracts/ingest/formats/call.ts'
import { parsed } from './kong-line.ts'

const SAMPLES = new URL('../../../../samples/formats/', import.meta.url)
const NAMES = readdirSync(SAMPLES)
  .filter((file) => file.endsWith('.log'))
  .map((file) => file.replace('.log', ''))

function linesOf(name: string): readonly string[] {
  return readFileSync(new URL(`${name}.log`, SAMPLES), 'utf8')
    .trimEnd()
    .split('\n')
}

/** Everything that the sample lines of a format say, one JSON object per event or dead letter. */
function understood(name: string): string {
  return linesOf(name)
    .flatMap((line) => {
      const { events, rejections } = parsed(formatNamed(name), line, SETTINGS, Number.NaN)
      return [...events, ...rejections.map(({ reason, detail }) => ({ reason, detail }))]
    })
    .map((said) => `${JSON.stringify(said)}\n`)
    .join('')
}

describe('the samples of the formats', () => {
  it('are there for every format but those with samples of their own', () => {
    expect([...NAMES, 'canonical', 'kong'].sort()).toEqual([...FORMAT_NAMES].sort())
  })

  it.each(NAMES)('%s: read as they were when a person checked them', async (name) => {
    await expect(understood(name)).toMatchFileSnapshot(`./golden/${name}.ndjson`)
  })

  it.each(NAMES)('%s: its events come back from the internal topic as they were', (name) => {
    for (const line of linesOf(name)) {
      for (const event of parsed(formatNamed(name), line).events) {
        const encoded = encodeInternal(event)
        expect(decodeInternal(encoded, 0)).toStrictEqual(event)
        expect(isReadBackAlike(event, encoded)).toBe(true)
      }
    }
  })
})
