import { createHash, type Hash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { OptionsError, readOptions, seedOption } from './command-line.ts'
import { LEVELS, SIZES, type Size } from './labels.ts'
import { TailCounter } from './quantiles.ts'
import { Traffic } from './traffic.ts'

const USAGE =
  'usage: npm run bench -- generate --size small|full|light --seed N --out DIR [--faults] [--gzip]'

export interface GenerateOptions {
  readonly size: Size
  readonly seed: number
  readonly out: string
  readonly faults: boolean
  readonly gzip: boolean
}

/** Options of `generate`. Throws {@link OptionsError} with a line that says what is wrong. */
export function generateOptions(args: readonly string[]): GenerateOptions {
  const { values, flags } = readOptions(args, ['size', 'seed', 'out'], ['faults', 'gzip'])
  const size = SIZES.find((s) => s === values.get('size'))
  if (size === undefined)
    throw new OptionsError(`--size is one of ${SIZES.join(', ')}, not ${values.get('size')}`)
  const out = values.get('out')
  if (out === undefined) throw new OptionsError('--out DIR is missing')
  return {
    size,
    seed: seedOption(values.get('seed')),
    out,
    faults: flags.has('faults'),
    gzip: flags.has('gzip'),
  }
}

/** `generate`: writes a log and its labels. Bad options: one line and exit code 2. */
export async function run(args: readonly string[]): Promise<void> {
  let options: GenerateOptions
  try {
    options = generateOptions(args)
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    process.stderr.write(`${error.message}\n${USAGE}\n`)
    process.exitCode = 2
    return
  }
  process.stdout.write(`${JSON.stringify(generate(options))}\n`)
}

/** Writes `kong.ndjson` (or `.gz`) and `labels.ndjson`; returns what was made. */
export function generate(options: GenerateOptions): Record<string, unknown> {
  mkdirSync(options.out, { recursive: true })
  const traffic = new Traffic(options)
  const tails = new TailCounter(traffic.world)
  traffic.watch((call) => tails.add(call))
  const log = new ChunkedFile(
    join(options.out, options.gzip ? 'kong.ndjson.gz' : 'kong.ndjson'),
    options.gzip,
  )
  for (const line of traffic.lines()) log.line(line)
  log.close()
  const labels = new ChunkedFile(join(options.out, 'labels.ndjson'), false)
  for (const label of traffic.labels()) labels.line(JSON.stringify(label))
  labels.close()
  return {
    ...options,
    ...summary(traffic, tails),
    lines: log.lines,
    bytes: log.bytes,
    log: log.sha256(),
    labels: labels.sha256(),
  }
}

function summary(traffic: Traffic, tails: TailCounter): Record<string, unknown> {
  const { principals, tenants } = traffic.world
  const episodes = traffic.book.labels()
  const attacks = episodes.filter((e) => e.kind === 'attack')
  const lookalikes = episodes.filter((e) => e.kind === 'lookalike')
  const levels = LEVELS.map((level) => [level, attacks.filter((a) => a.level === level).length])
  const perType = (list: readonly { type: string }[]) => {
    const types = [...new Set(list.map((e) => e.type))].sort()
    return Object.fromEntries(types.map((type) => [type, list.filter((e) => e.type === type).length]))
  }
  return {
    tenants: tenants.map((t) => ({
      name: t.name,
      principals: t.principals.filter((p) => p.events > 0).length,
    })),
    events: traffic.events,
    principals: principals.filter((p) => p.events > 0).length,
    principalDays: tails.principalDays(),
    attacks: attacks.length,
    attackKinds: perType(attacks),
    levels: Object.fromEntries(levels),
    attackEvents: traffic.attackEvents,
    attackShare: traffic.attackEvents / traffic.events,
    lookalikes: lookalikes.length,
    lookalikesPerAttack: attacks.length === 0 ? null : lookalikes.length / attacks.length,
    lookalikeKinds: perType(lookalikes),
    pairs: episodes.filter((e) => e.kind === 'pair').length,
    errorShares: tails.errorShares(),
    quantiles: tails.table(),
    peakRssBytes: process.resourceUsage().maxRSS * 1_024,
  }
}

const CHUNK_CHARS = 4_000_000

/** A file of lines, written in chunks; as gzip, each chunk is a member of its own (RFC 1952 allows several). */
class ChunkedFile {
  lines = 0
  /** Before compression. */
  bytes = 0
  private readonly fd: number
  private readonly gzip: boolean
  private readonly hash: Hash = createHash('sha256')
  private pending: string[] = []
  private chars = 0

  constructor(path: string, gzip: boolean) {
    this.fd = openSync(path, 'w')
    this.gzip = gzip
  }

  line(text: string): void {
    this.lines++
    this.pending.push(text)
    this.chars += text.length + 1
    if (this.chars >= CHUNK_CHARS) this.flush()
  }

  close(): void {
    if (this.pending.length > 0) this.flush()
    closeSync(this.fd)
  }

  /** Of what was written before compression. */
  sha256(): string {
    return this.hash.digest('hex')
  }

  private flush(): void {
    this.pending.push('')
    const plain = Buffer.from(this.pending.join('\n'))
    this.pending = []
    this.chars = 0
    this.hash.update(plain)
    this.bytes += plain.length
    const bytes = this.gzip ? gzipSync(plain, { level: 1 }) : plain
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at)
  }
}
