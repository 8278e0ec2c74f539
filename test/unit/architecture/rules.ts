import { posix } from 'node:path'
import { importsOf, lineAt, type SourceViews, viewsOf } from './source-text.ts'

/** Path from the repository root, with `/`, to the text of the file. */
export type Files = ReadonlyMap<string, string>

/** Says what is wrong with the files, one line per finding: `path:line: what`. */
export type Rule = (files: Files) => readonly string[]

const PRODUCTION = [
  'core',
  'files',
  'ingest',
  'baseline',
  'detectors',
  'engine',
  'enforcement',
  'alerts',
  'admin',
  'cli',
]

/** Files of a folder that others may be written against: what they do is promised, not how. */
const INTERFACE_FILES = new Set([
  'ingest/format.ts',
  'ingest/source.ts',
  'ingest/principal.ts',
  'ingest/records.ts',
  'enforcement/gateway.ts',
  'enforcement/ledger.ts',
  'alerts/sink.ts',
  'alerts/ledger.ts',
])

/** Which folders a folder may import, besides itself. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  files: ['core'],
  ingest: ['core', 'files'],
  baseline: ['core', 'files'],
  enforcement: ['core'],
  alerts: ['core'],
  detectors: ['core', 'baseline'],
  engine: ['core', 'baseline', 'detectors', 'ingest', 'enforcement', 'alerts'],
  admin: ['core', 'engine'],
  cli: PRODUCTION,
}

/** The only files that may import an outside package. A package that is not here needs an entry. */
const DOORS: Readonly<Record<string, RegExp>> = {
  '@aws-sdk/': /^enforcement\/gateways\/aws-sdk(-modules\.d)?\.ts$/,
  '@grpc/': /^enforcement\/grpc\/grpc-(packages|modules\.d)\.ts$/,
  'google-auth-library': /^enforcement\/gateways\/apigee-token\.ts$/,
  kafkajs: /^ingest\/sources\/kafka-client\.ts$/,
  fzstd: /^ingest\/sources\/codecs\//,
  ioredis: /^baseline\/stores\/redis-client\.ts$/,
  fastify: /^(admin\/|enforcement\/decision-endpoint\.ts$)/,
  '@fastify/': /^(admin\/|enforcement\/decision-endpoint\.ts$)/,
  'prom-client': /^admin\/metrics\.ts$/,
  yaml: /^cli\/config\/yaml-document\.ts$/,
  '@tensorflow/': /^detectors\/autoencoder\//,
  '@sinclair/typebox': /^(admin|cli\/config)\//,
  'simple-statistics': /^(baseline|detectors|engine)\//,
  pino: /^cli\//,
  jose: /^(enforcement\/(decision-endpoint-tokens|gateways\/event-signer)\.ts$|cli\/demo\/)/,
  ajv: /^admin\/validation\.ts$/,
}

/** Edges of the engine: they wait, and are told the time. */
const ENGINE_EDGES = [
  'engine/worker.ts',
  'engine/owned-partition.ts',
  'engine/outbox-cursor.ts',
  'engine/outbox-reader.ts',
  'engine/knowledge-merger.ts',
]

const MAX_LINES = 400

function folderOf(path: string): string {
  return path.split('/')[0]!
}

function isProduction(path: string): boolean {
  return PRODUCTION.includes(folderOf(path)) && path.endsWith('.ts')
}

/** Event time only: no clock, no randomness, nothing that waits. */
export function isPure(path: string): boolean {
  if (/^enforcement\/(plan|guard|envelope-plan|envelope-meter)\.ts$/.test(path)) return true
  if (path.startsWith('baseline/stores/') || ENGINE_EDGES.includes(path)) return false
  return ['core', 'detectors', 'baseline', 'engine'].includes(folderOf(path)) && path.endsWith('.ts')
}

/** The file that a relative import means, or null for a package. */
function resolved(from: string, target: string): string | null {
  return target.startsWith('.') ? posix.normalize(posix.join(posix.dirname(from), target)) : null
}

function isTest(path: string): boolean {
  return /^(test|bench)\//.test(path)
}

const views = new Map<string, SourceViews>()

function viewOf(text: string): SourceViews {
  const known = views.get(text) ?? viewsOf(text)
  views.set(text, known)
  return known
}

function eachImport(
  files: Files,
  covers: (path: string) => boolean,
  fault: (path: string, target: string) => string | null,
): readonly string[] {
  return [...files].flatMap(([path, text]) => {
    if (!covers(path) || !path.endsWith('.ts')) return []
    return importsOf(viewOf(text).statements).flatMap(({ target, line }) => {
      const what = fault(path, target)
      return what === null ? [] : [`${path}:${line}: ${what}`]
    })
  })
}

/** Matches of a pattern in one view of the files. */
function eachMatch(
  files: Files,
  covers: (path: string) => boolean,
  view: keyof SourceViews,
  pattern: RegExp,
  what: string,
): readonly string[] {
  return [...files].flatMap(([path, text]) => {
    if (!covers(path) || !path.endsWith('.ts')) return []
    const seen = viewOf(text)[view]
    return [...seen.matchAll(pattern)].map((m) => `${path}:${lineAt(seen, m.index)}: ${what}: ${m[0].trim()}`)
  })
}

/** A folder imports along the arrows only; `engine` sees interfaces of the edges, never an adapter. */
export const importsFollowArrows: Rule = (files) =>
  eachImport(files, isProduction, (path, target) => {
    const file = resolved(path, target)
    if (file === null) return null
    const [from, to] = [folderOf(path), folderOf(file)]
    if (from === to) return null
    if (!ARROWS[from]?.includes(to)) return `${from} must not import ${to} (${file})`
    if (from !== 'engine') return null
    const isEdge = ['ingest', 'enforcement', 'alerts'].includes(to)
    const isStore = file.startsWith('baseline/stores/')
    return isStore || (isEdge && !INTERFACE_FILES.has(file))
      ? `engine must not import the adapter ${file}`
      : null
  })

/** Imports name files with their extension `.ts`. */
export const importsNameFiles: Rule = (files) =>
  eachImport(
    files,
    (path) => isProduction(path) || isTest(path),
    (path, target) => {
      const file = resolved(path, target)
      if (file === null || /\.(mjs|json)$/.test(file)) return null
      return file.endsWith('.ts') ? null : `import ${target} with its extension .ts`
    },
  )

/** One door per outside package. */
export const packagesHaveDoors: Rule = (files) =>
  eachImport(files, isProduction, (path, target) => {
    if (target.startsWith('.') || target.startsWith('node:')) return null
    const door = Object.entries(DOORS).find(
      ([name]) => target === name || target.startsWith(name.endsWith('/') ? name : `${name}/`),
    )
    if (door === undefined) return `the package ${target} has no door; add one to DOORS`
    return door[1].test(path) ? null : `the package ${target} is imported outside of its door`
  })

/** Files of one folder do not import each other in a circle. */
export const noCycles: Rule = (files) => {
  const edges = new Map<string, readonly string[]>()
  for (const [path, text] of files) {
    if (!isProduction(path)) continue
    const targets = importsOf(viewOf(text).statements).map(({ target }) => resolved(path, target))
    edges.set(path, targets.filter((target) => target !== null && files.has(target)) as string[])
  }
  const state = new Map<string, 'open' | 'done'>()
  const found: string[] = []
  const visit = (path: string, trail: readonly string[]) => {
    if (state.get(path) === 'open') {
      found.push(`${path}:1: import cycle ${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}`)
    }
    if (state.has(path)) return
    state.set(path, 'open')
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
    state.set(path, 'done')
  }
  for (const path of edges.keys()) visit(path, [])
  return found
}

const IMPURE =
  /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bperformance\.now\b|\bprocess\.(?:env|hrtime|memoryUsage)\b|\bconsole\.\w+|\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b|\brandom(?:Bytes|UUID|Int|FillSync)\b|\bgetRandomValues\b|\basync\b|\bawait\b|\bnew Promise\b|\bPromise\.\w+/g

/** The pure parts have no clock, no randomness, and wait for nothing. */
export const pureParts: Rule = (files) =>
  eachMatch(files, isPure, 'code', IMPURE, 'not allowed in a pure part')

/** Library code is handed its clock, its randomness and its logger. */
export const clockIsPassedIn: Rule = (files) =>
  eachMatch(
    files,
    (path) => isProduction(path) && folderOf(path) !== 'cli',
    'code',
    /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bconsole\.\w+/g,
    'must be passed in',
  )

const TRAFFIC = 'bench/traffic/'

/** What judges the engine is made without it: the traffic of the benchmark imports nothing but itself. */
export const trafficStandsAlone: Rule = (files) =>
  eachImport(
    files,
    (path) => path.startsWith(TRAFFIC),
    (path, target) => {
      if (target.startsWith('node:')) return null
      const file = resolved(path, target)
      return file?.startsWith(TRAFFIC)
        ? null
        : `the traffic of the benchmark must not import ${file ?? target}`
    },
  )

/** A seed gives the same bytes on every machine: no clock, no other randomness, nothing of the environment. */
export const trafficIsSeeded: Rule = (files) =>
  eachMatch(
    files,
    (path) => path.startsWith(TRAFFIC),
    'code',
    /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bperformance\.now\b|\bprocess\.(?:env|hrtime)\b|\brandom(?:Bytes|UUID|Int|FillSync)\b/g,
    'must come from the seed',
  )

/** Only the composition root reads the environment. */
export const environmentInCliOnly: Rule = (files) =>
  eachMatch(
    files,
    (path) => !/^(cli|bench|scripts|test)\//.test(path),
    'code',
    /\bprocess\.env\b/g,
    'the environment is read in cli and bench only',
  )

/** No file beyond 400 lines. */
export const filesAreShort: Rule = (files) =>
  [...files].flatMap(([path, text]) => {
    const lines = text.replace(/\n$/, '').split('\n').length
    return /\.(ts|mjs)$/.test(path) && lines > MAX_LINES
      ? [`${path}:${lines}: ${lines} lines, at most ${MAX_LINES}`]
      : []
  })

const EMPTY_NAMES = /^(utils?|helpers?|commons?|libs?|misc|managers?)$/

/** Names are nouns that a user would say, in kebab case. */
export const namesSaySomething: Rule = (files) =>
  [...files.keys()].flatMap((path) => {
    if (!/\.(ts|mjs)$/.test(path)) return []
    const parts = path.replace(/(\.(test|config|bench))?\.\w+$/, '').split('/')
    const empty = parts.find((part) => EMPTY_NAMES.test(part))
    if (empty !== undefined) return [`${path}:1: "${empty}" says nothing`]
    const odd = parts.find((part) => !/^\.?[a-z0-9]+([.-][a-z0-9]+)*$/.test(part))
    return odd === undefined ? [] : [`${path}:1: "${odd}" is not in kebab case`]
  })

/** A file that only passes others on hides where things are; catalogues list values, which is something else. */
export const noBarrels: Rule = (files) =>
  [...files].flatMap(([path, text]) => {
    if (!path.endsWith('.ts')) return []
    const { statements } = viewOf(text)
    if (/^\s*export\s*\*/m.test(statements)) return [`${path}:1: export * is a barrel`]
    const rest = statements.replace(/^\s*export\s+(?:type\s+)?\{[^}]*\}\s*from\s*['"][^'"]*['"];?/gm, '')
    return rest !== statements && rest.trim() === '' ? [`${path}:1: a file of re-exports is a barrel`] : []
  })

/** Types are not switched off. */
export const typesAreKept: Rule = (files) => {
  const covers = (path: string) => isProduction(path) || isTest(path)
  return [
    ...eachMatch(files, covers, 'code', /(?::|\bas|<|,|\||&|=)\s*any\b(?!\s*[(:.=])/g, 'any'),
    ...eachMatch(files, covers, 'comments', /@ts-(?:ignore|nocheck)\b/g, 'switches the compiler off'),
    ...eachMatch(files, isProduction, 'comments', /@ts-expect-error\b/g, 'switches the compiler off'),
    ...eachMatch(files, covers, 'comments', /biome-ignore(?![^\n]*:\s*\S{2,})[^\n]*/g, 'needs a reason'),
    ...eachMatch(files, covers, 'comments', /\b(?:TODO|FIXME|XXX|HACK)\b/g, 'is unfinished'),
  ]
}

/** Contracts say what may be relied on. */
export const interfacesAreDocumented: Rule = (files) =>
  [...files].flatMap(([path, text]) => {
    const isContract =
      folderOf(path) === 'core' ||
      INTERFACE_FILES.has(path) ||
      /^(baseline\/store|engine\/(control-plane|settings))\.ts$/.test(path)
    if (!isContract) return []
    const lines = text.split('\n')
    return lines.flatMap((line, i) => {
      const name = /^export (?:declare )?(?:abstract )?(?:interface|class|function|type|const) (\w+)/.exec(
        line,
      )?.[1]
      const isDocumented = /\*\/\s*$/.test(lines[i - 1] ?? '')
      return name === undefined || isDocumented ? [] : [`${path}:${i + 1}: ${name} has no doc comment`]
    })
  })

/** Every rule by its name. */
export const RULES: Readonly<Record<string, Rule>> = {
  importsFollowArrows,
  importsNameFiles,
  packagesHaveDoors,
  noCycles,
  pureParts,
  clockIsPassedIn,
  trafficStandsAlone,
  trafficIsSeeded,
  environmentInCliOnly,
  filesAreShort,
  namesSaySomething,
  noBarrels,
  typesAreKept,
  interfacesAreDocumented,
}
