import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDER = join(fileURLToPath(new URL('../../', import.meta.url)), 'curfew-data')

function files(): readonly string[] {
  return existsSync(FOLDER) ? readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }) : []
}

/**
 * Fails a run that leaves something in `curfew-data` of the repository, where a Curfew keeps what its configuration
 * names no folder for: the next run, or the installation of whoever works here, would take it for its own.
 */
export default function setup(): () => void {
  const before = new Set(files())
  return () => {
    const left = files().filter((file) => !before.has(file))
    if (left.length === 0) return
    // A teardown that throws is printed, and no more than that.
    process.exitCode = 1
    throw new Error(
      `tests left ${left.map((file) => `curfew-data/${file}`).join(', ')}: name every folder in their configurations`,
    )
  }
}
