// Makes a fresh clone ready: checks Node, installs what package-lock.json says, compiles. Node built-ins only.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const LEAST_NODE = [20, 19]
const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const stampFile = join(dist, '.sources')

/** Whether a version such as `20.19.2` is new enough. */
export function isNodeRecent(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])
}

/**
 * Whether `node_modules` holds what the lock file says. npm keeps its own list of what it installed;
 * packages that are optional (other platforms, native downloads) may be missing there.
 */
export function isInstalled(folder) {
  const wanted = packagesOf(join(folder, 'package-lock.json'))
  const found = packagesOf(join(folder, 'node_modules', '.package-lock.json'))
  if (wanted === null || found === null) return false
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith('node_modules/')) return true
    const installed = found[path]
    if (installed === undefined) return entry.optional === true || entry.devOptional === true
    return installed.version === entry.version && installed.integrity === entry.integrity
  })
}

function packagesOf(lockFile) {
  try {
    return JSON.parse(readFileSync(lockFile, 'utf8')).packages ?? null
  } catch {
    return null
  }
}

/** Every TypeScript file that the compiler reads, relative to the root, in a stable order. */
function sources() {
  const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'))
  return include
    .flatMap((folder) => filesUnder(join(root, folder)))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => relative(root, file))
    .sort()
}

function filesUnder(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

function stampOf(files) {
  const hash = createHash('sha256')
  for (const file of ['tsconfig.json', 'package-lock.json', ...files]) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0')
  }
  return hash.digest('hex')
}

/** Output of sources that are gone must not stay: commands are found by their files. */
function removeOrphans(files) {
  const kept = new Set(files.map((file) => file.replace(/\.ts$/, '')))
  for (const file of filesUnder(dist)) {
    const output = relative(dist, file)
    const source = output.replace(/\.js(\.map)?$/, '')
    if (source !== output && !kept.has(source.split('/').join(sep))) rmSync(file)
  }
}

function runOrExit(what, command, args) {
  process.stderr.write(`${what}\n`)
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  if (status === 0) return
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`)
  if (error) process.stderr.write(`cannot run ${command}: ${error.message}\n`)
  process.exit(status ?? 1)
}

function install() {
  if (isInstalled(root)) return
  // Under `npm start` npm says where it is itself, which also works where it is not on the PATH.
  const npm = process.env.npm_execpath
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  if (npm?.endsWith('.js')) runOrExit('Installing packages (npm ci)', process.execPath, [npm, ...args])
  else runOrExit('Installing packages (npm ci)', 'npm', args)
}

function compile() {
  const files = sources()
  const stamp = stampOf(files)
  const isFresh = existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp
  if (isFresh && existsSync(join(dist, 'cli', 'main.js'))) return
  removeOrphans(files)
  rmSync(stampFile, { force: true })
  runOrExit('Compiling', process.execPath, [
    join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
    '-p',
    root,
  ])
  writeFileSync(stampFile, stamp)
}

/** Entry point: exits with a message when something cannot be made ready. */
function main() {
  if (!isNodeRecent(process.versions.node)) {
    process.stderr.write(
      `Curfew needs Node.js ${LEAST_NODE.join('.')} or newer, this is ${process.versions.node}. See https://nodejs.org\n`,
    )
    process.exit(1)
  }
  install()
  compile()
}

// The path may lead through a link; a module that is imported must not run.
const isEntry = realpathSync(process.argv[1] ?? '.') === fileURLToPath(import.meta.url)
if (isEntry) main()
