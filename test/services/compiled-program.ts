import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** The whole source, compiled to a folder of its own: child processes run it on every supported Node. */
export interface CompiledProgram {
  /** Path of a compiled file, named by its source such as `cli/main.ts`. */
  file(source: string): string
  remove(): Promise<void>
}

function repositoryRoot(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

/** Compiles without a type check, which `npm run check` is for. */
export async function compileProgram(): Promise<CompiledProgram> {
  const root = repositoryRoot()
  // Below node_modules, so that the compiled program finds its packages.
  const cache = join(root, 'node_modules', '.cache')
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'curfew-program-'))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const settings = [
    '-p',
    join(root, 'tsconfig.json'),
    '--noCheck',
    '--incremental',
    'false',
    '--tsBuildInfoFile',
    'null',
  ]
  await promisify(execFile)(process.execPath, [tsc, ...settings, '--outDir', folder], { cwd: root })
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  return {
    file: (source) => join(folder, source.replace(/\.ts$/, '.js')),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
