import { closeSync, openSync, readSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'

/** Where secrets and the files that a configuration names come from. */
export interface SecretReader {
  /** The value of an environment variable, or undefined. */
  env(name: string): string | undefined
  /** The text of a file. Throws when it cannot be read. */
  file(path: string): string
}

/** Largest secret or certificate bundle that is read. */
const MAX_SECRET_BYTES = 1_048_576

/** Reads secrets from the given environment and from files, relative to a folder. */
export function secretReader(
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
): SecretReader {
  return {
    env: (name) => env[name],
    file: (path) => readBounded(isAbsolute(path) ? path : join(folder, path)),
  }
}

function readBounded(path: string): string {
  const file = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(MAX_SECRET_BYTES + 1)
    let length = 0
    for (;;) {
      const read = readSync(file, buffer, length, buffer.length - length, null)
      length += read
      if (length > MAX_SECRET_BYTES) throw new Error(`larger than ${MAX_SECRET_BYTES} bytes`)
      if (read === 0) return buffer.toString('utf8', 0, length)
    }
  } finally {
    closeSync(file)
  }
}
